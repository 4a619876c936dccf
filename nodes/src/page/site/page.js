// The page: a form, and the relying party's side of it.

import { login, register } from './device.js';

const field = (id) => document.getElementById(id);

async function relyingParty(path, body) {
  const headers = { 'Content-Type': 'application/json' };
  const answer = await fetch(`/relying-party/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  const told = await answer.json();
  if (!answer.ok) {
    throw new Error(told.detail);
  }
  return told;
}

function say(text) {
  const step = document.createElement('li');
  step.textContent = text;
  field('steps').append(step);
}

function finish(outcome, text) {
  field('outcome').dataset.outcome = outcome;
  field('outcome').textContent = text;
}

const ceremonies = {
  async register(account, eye) {
    const asked = await relyingParty('register', { account });
    await relyingParty('registered', await register(account, eye, asked, say));
    return `${account} is registered; now log in`;
  },
  async login(account, eye) {
    const asked = await relyingParty('login', { account });
    const told = await relyingParty('logged-in', await login(account, eye, asked, say));
    say('the relying party has verified challenge, origin, flags, counter and signature');
    return `${told.account} is logged in, verified by the eye (signature counter ${told.count})`;
  },
};

field('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const buttons = [field('register'), field('login')];
  buttons.forEach((button) => (button.disabled = true));
  field('steps').replaceChildren();
  finish('running', 'one moment');
  try {
    const what = event.submitter?.value ?? 'login';
    finish('done', await ceremonies[what](field('account').value, field('eye').value));
  } catch (error) {
    finish('refused', error.message);
  } finally {
    buttons.forEach((button) => (button.disabled = false));
  }
});
