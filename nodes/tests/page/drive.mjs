// Registers and logs in as a user would, in headless Chromium, and prints one line of JSON for each step.

import puppeteer from 'puppeteer-core';

const [url, executablePath] = process.argv.slice(2);
// Chromium's sandbox cannot be set up by root, as in a container.
const args = process.getuid() === 0 ? ['--no-sandbox'] : [];
const browser = await puppeteer.launch({ executablePath, headless: true, args });

const sent = [];

async function open(context) {
  const page = await context.newPage();
  page.on('request', (request) => {
    const { pathname } = new URL(request.url());
    if (pathname.startsWith('/nodes/') && request.method() === 'PUT') {
      sent.push({ path: pathname, type: request.headers()['content-type'], bytes: request.headers()['content-length'] ?? null });
    }
  });
  page.on('pageerror', (error) => console.log(JSON.stringify({ step: 'error', text: error.message })));
  await page.goto(url);
  return page;
}

async function press(page, step, button, account, eye) {
  for (const [id, value] of [['account', account], ['eye', eye]]) {
    await page.$eval(`#${id}`, (field, text) => (field.value = text), value);
  }
  await page.click(`#${button}`);
  const ended = () => ['done', 'refused'].includes(document.getElementById('outcome').dataset.outcome);
  await page.waitForFunction(() => document.getElementById('outcome').dataset.outcome === 'running' || document.getElementById('outcome').textContent !== '');
  await page.waitForFunction(ended, { timeout: 60_000 });
  const told = await page.$eval('#outcome', ({ dataset, textContent }) => ({ outcome: dataset.outcome, text: textContent }));
  console.log(JSON.stringify({ step, ...told }));
}

const page = await open(browser.defaultBrowserContext());
await press(page, 'register', 'register', 'alice', 'left eye of alice');
await press(page, 'log in', 'login', 'alice', 'left eye of alice');
await press(page, 'another eye', 'login', 'alice', 'left eye of bob');
await press(page, 'log in again', 'login', 'alice', 'left eye of alice');
await press(page, 'register again', 'register', 'alice', 'left eye of alice');
await press(page, 'nobody', 'login', 'carol', 'left eye of alice');

// A browser that has no share of the key, and the right eye before it.
const stranger = await open(await browser.createBrowserContext());
await press(stranger, 'another device', 'login', 'alice', 'left eye of alice');

// What the page's server passes on: nothing unsealed, and no keys or templates of those who do not register.
const tried = await page.evaluate(async () => {
  const sealed = { 'Content-Type': 'application/vnd.trefoil.sealed', 'Sealed-Type': 'application/vnd.trefoil.auth' };
  const put = async (path, headers) => (await fetch(path, { method: 'PUT', headers, body: new Uint8Array(100) })).status;
  return [
    await put('/nodes/0/v1/auth/logins/00000000000000000000000000000000', { 'Content-Type': 'application/vnd.trefoil.auth' }),
    await put('/nodes/0/v1/auth/users/somebody/templates/eye', sealed),
    await put('/nodes/0/v1/keys/somebody', sealed),
    await put('/nodes/0/v1/auth/credentials/00', sealed),
    await put('/nodes/3/v1/auth/logins/00', sealed),
    (await fetch('/nodes/0/v1/auth/users')).status,
  ];
});
console.log(JSON.stringify({ step: 'refused', text: tried.join(' ') }));
console.log(JSON.stringify({ step: 'sent', text: JSON.stringify(sent.map(({ path, type }) => [path.split('/').slice(0, 6).join('/'), type])) }));
await browser.close();
