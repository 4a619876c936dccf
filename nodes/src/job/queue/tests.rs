//! The queue beside a plain reference, and the bounds that it promises.

use super::*;
use proptest::prelude::*;

fn client(k: usize) -> ClientName {
    format!("client-{k}").parse().expect("a name")
}

fn session(n: usize) -> SessionId {
    SessionId((n as u128).to_be_bytes())
}

/// All turns that wait in one list, each with the start that it was given when it came.
#[derive(Default)]
struct Reference {
    waiting: Vec<(u64, usize, u32)>,
    ends: [u64; CLIENTS],
    time: u64,
}

impl Reference {
    fn push(&mut self, client: usize, n: usize, cost: u32) {
        let start = self.ends[client].max(self.time);
        self.ends[client] = start + u64::from(cost);
        self.waiting.push((start, n, cost));
    }

    fn pop(&mut self, free: u32) -> Option<usize> {
        let at = (0..self.waiting.len()).min_by_key(|k| (self.waiting[*k].0, self.waiting[*k].1))?;
        if self.waiting[at].2 > free {
            return None;
        }
        let (start, n, _) = self.waiting.remove(at);
        self.time = start;
        Some(n)
    }
}

const CLIENTS: usize = 4;
const PLACES: u32 = 8;

#[derive(Clone, Copy, Debug)]
enum Step {
    Push(usize, u32),
    Pop,
    GiveBack,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..CLIENTS, 1..=PLACES).prop_map(|(client, cost)| Step::Push(client, cost)),
        3 => Just(Step::Pop),
        2 => Just(Step::GiveBack),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn it_grants_what_the_reference_grants(steps in steps()) {
        let (mut queue, mut reference, mut running) = (Queue::new(PLACES), Reference::default(), VecDeque::new());
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(k, cost) => {
                    queue.push(Flow::Client(client(k)), session(n), cost);
                    reference.push(k, n, cost);
                }
                Step::Pop => {
                    let free = queue.free();
                    let granted = queue.pop();
                    prop_assert_eq!(granted.map(|(s, _)| s), reference.pop(free).map(session));
                    running.extend(granted);
                }
                Step::GiveBack => running.pop_front().into_iter().for_each(|(_, cost)| queue.give_back(cost)),
            }
            let taken: u32 = running.iter().map(|(_, cost)| cost).sum();
            prop_assert_eq!((queue.free() + taken, queue.len()), (PLACES, reference.waiting.len()));
        }
    }

    /// While two clients have turns waiting all the time, neither is given more than a turn of each beyond the other; nobody waits for ever, whatever the others ask for.
    #[test]
    fn clients_that_wait_get_the_same(costs in proptest::collection::vec(proptest::collection::vec(1..=PLACES, 40), 2..=CLIENTS)) {
        let mut queue = Queue::new(PLACES);
        for (k, costs) in costs.iter().enumerate() {
            for (n, cost) in costs.iter().enumerate() {
                queue.push(Flow::Client(client(k)), session(1000 * k + n), *cost);
            }
        }
        let mut served = vec![0; costs.len()];
        let mut left = vec![40; costs.len()];
        while left.iter().all(|left| *left > 0) {
            let (next, cost) = queue.pop().expect("all places are free");
            queue.give_back(cost);
            let k = (u128::from_be_bytes(next.0) / 1000) as usize;
            served[k] += cost;
            left[k] -= 1;
            let (least, most) = (served.iter().min().expect("two"), served.iter().max().expect("two"));
            prop_assert!(most - least <= 2 * PLACES, "{served:?}");
        }
    }
}

#[test]
fn who_has_a_thousand_jobs_keeps_nobody_else_waiting() {
    let mut queue = Queue::new(1);
    (0..1000).for_each(|n| queue.push(Flow::Client(client(0)), session(n), 1));
    let grant = |queue: &mut Queue| {
        let (next, cost) = queue.pop().expect("a place");
        queue.give_back(cost);
        next
    };
    assert_eq!([grant(&mut queue), grant(&mut queue)], [session(0), session(1)]);
    queue.push(Flow::Client(client(1)), session(5000), 1);
    assert_eq!((queue.before(session(5000)), queue.before(session(2))), (Some(0), Some(1)));
    assert_eq!([grant(&mut queue), grant(&mut queue), grant(&mut queue)], [session(5000), session(2), session(3)]);
    // Who comes with one job after the other has its share and no more.
    queue.push(Flow::Client(client(1)), session(5001), 1);
    assert_eq!([grant(&mut queue), grant(&mut queue)], [session(5001), session(4)]);
    assert_eq!((queue.before(session(5001)), queue.len()), (None, 995));
}

#[test]
fn a_large_turn_is_not_overtaken_for_ever() {
    let mut queue = Queue::new(4);
    queue.push(Flow::Client(client(0)), session(0), 1);
    assert!(queue.pop().is_some());
    queue.push(Flow::Client(client(1)), session(1), 4);
    assert!(queue.pop().is_none());
    for n in 2..100 {
        queue.push(Flow::Client(client(2)), session(n), 1);
    }
    assert!(queue.pop().is_none(), "the large one is next");
    queue.give_back(1);
    assert_eq!(queue.pop(), Some((session(1), 4)));
    // One that goes away is in nobody's way.
    queue.remove(session(2));
    assert!(queue.pop().is_none());
    queue.give_back(4);
    assert_eq!((queue.pop(), queue.len()), (Some((session(3), 1)), 96));
}

#[test]
fn logins_are_first_and_clients_go_on() {
    let mut queue = Queue::new(1);
    (0..3).for_each(|n| queue.push(Flow::Client(client(0)), session(n), 1));
    (100..150).for_each(|n| queue.push(Flow::Login, session(n), 1));
    let order: Vec<_> = std::iter::from_fn(|| {
        let (next, cost) = queue.pop()?;
        queue.give_back(cost);
        Some(u128::from_be_bytes(next.0))
    })
    .collect();
    let jobs: Vec<_> = order.iter().enumerate().filter(|(_, n)| **n < 100).map(|(at, _)| at).collect();
    assert_eq!((order.len(), jobs), (53, vec![8, 17, 26]));
}
