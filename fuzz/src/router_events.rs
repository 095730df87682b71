//! The whole router under any limits and any order of events, over a store whose writes are
//! interrupted by other workers. What must hold is checked after each event, as in the router's own
//! property tests: see `audit.rs`.

#[allow(dead_code, reason = "the property tests use the rest")]
#[path = "../../router/tests/stories/properties/audit.rs"]
mod audit;
#[allow(dead_code, reason = "the property tests use the rest")]
#[path = "../../router/tests/stories/properties/setting.rs"]
mod setting;
#[path = "../../router/tests/stories/properties/simulation.rs"]
mod simulation;

use std::cell::RefCell;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use llm_balancer_router::StreamEnd;
use setting::{Limits, STRATEGIES, Setting};
use simulation::{Deed, Event, Interrupted, Simulation, WORKERS};

/// Longer stories find nothing that shorter ones do not.
const MOST_EVENTS: usize = 60;

/// The bytes are a configuration, and then the events.
pub fn router_events(bytes: &[u8]) {
    // What cannot be read is past the end, and ends the story.
    let _ = tell(&mut Unstructured::new(bytes));
}

fn tell(u: &mut Unstructured<'_>) -> Result<()> {
    let simulation = Simulation::of(&setting(u)?);
    let is_quiet = u.arbitrary()?;
    simulation.is_quiet.set(is_quiet);
    for _ in 0..MOST_EVENTS {
        if u.is_empty() {
            break;
        }
        simulation.pass(time(u)?);
        if is_quiet {
            let event = event(u, true)?;
            let refused = simulation.happen(event, &simulation.memory);
            if let (Some(reply), Deed::Begin(most)) = (refused, event.1) {
                simulation.check_refusal(&reply, most);
            }
        } else {
            // A worker that dies within an event of another is not simulated.
            let event = event(u, false)?;
            let before = (0..u.int_in_range(0..=5)?).map(|_| interruption(u)).collect::<Result<_>>()?;
            let store =
                Interrupted { simulation: &simulation, own: event.0 % WORKERS, before: RefCell::new(before) };
            simulation.happen(event, &store);
        }
        simulation.audit();
    }
    simulation.wind_up();
    Ok(())
}

fn setting(u: &mut Unstructured<'_>) -> Result<Setting> {
    let limits = (0..u.int_in_range(1..=3)?).map(|_| limits(u)).collect::<Result<_>>()?;
    Ok(Setting { limits, strategy: u.choose(&STRATEGIES)?, cooldown: u.int_in_range(0..=30)? })
}

fn limits(u: &mut Unstructured<'_>) -> Result<Limits> {
    let is_set = u.int_in_range(0..=7_u8)?;
    let bit = |bit: u8| is_set & bit != 0;
    Ok(Limits {
        rpm: if bit(1) { Some(u.int_in_range(1..=6)?) } else { None },
        tpm: if bit(2) { Some(u.int_in_range(50..=400)?) } else { None },
        parallel: if bit(4) { Some(u.int_in_range(1..=4)?) } else { None },
    })
}

/// No time, a short one, or one that may reach into the next minute.
fn time(u: &mut Unstructured<'_>) -> Result<Duration> {
    Ok(match u.int_in_range(0..=7_u8)? {
        0..=3 => Duration::ZERO,
        4..=6 => Duration::from_millis(u.int_in_range(1..=3000)?),
        _ => Duration::from_secs(u.int_in_range(3..=70)?),
    })
}

fn interruption(u: &mut Unstructured<'_>) -> Result<Option<Event>> {
    if u.arbitrary()? { event(u, false).map(Some) } else { Ok(None) }
}

fn event(u: &mut Unstructured<'_>, may_die: bool) -> Result<Event> {
    Ok((u.int_in_range(0..=WORKERS - 1)?, deed(u, may_die)?))
}

fn deed(u: &mut Unstructured<'_>, may_die: bool) -> Result<Deed> {
    const ENDS: [StreamEnd; 3] =
        [StreamEnd::Interrupted, StreamEnd::TimedOut { passed: 0 }, StreamEnd::ClientDisconnected];
    const STATUSES: [u16; 10] = [0, 1, 400, 401, 403, 404, 429, 500, 503, 529];
    let kind = u.int_in_range(0..=if may_die { 15_u8 } else { 14 })?;
    let which = if kind > 5 { usize::from(u.arbitrary::<u8>()?) } else { 0 };
    Ok(match kind {
        0..=5 => Deed::Begin(u.int_in_range(0..=200)?),
        6..=7 => Deed::Answer(which, tokens(u)?),
        8 => Deed::Interrupt(which, *u.choose(&ENDS)?, tokens(u)?),
        9..=10 => Deed::Fail(which, *u.choose(&STATUSES)?),
        11 => Deed::Leave(which),
        12 => Deed::Break(which, u.arbitrary()?),
        13 => Deed::Reset(which),
        14 => Deed::Unanswered(which),
        _ => Deed::Die,
    })
}

fn tokens(u: &mut Unstructured<'_>) -> Result<Option<u64>> {
    Ok(if u.arbitrary()? { Some(u.int_in_range(0..=300)?) } else { None })
}
