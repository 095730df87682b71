//! Every phase meets every event: a test per event has its rows of the table, and `check` shows
//! that the event is impossible in all other phases; the last tests have the rules for what is
//! impossible.

use super::Phase::*;
use super::*;

const PHASES: [Phase; 12] = [
    New,
    AwaitBody,
    Refusing,
    Phase::AwaitRedis,
    Sent,
    HoldAnswer,
    Streaming,
    ReadError,
    RetryWait,
    Restoring,
    Probing,
    Done,
];

fn events() -> Vec<Event> {
    let flags = [false, true];
    let mut events =
        vec![Event::BodyTooLarge, Event::RedisReady, Event::ProbesDone, Event::Log, Event::StateMissing];
    let arrived = [
        Arrived::Hold,
        Arrived::Complete,
        Arrived::Reply,
        Arrived::ReplyAfterBody,
        Arrived::Probe,
        Arrived::Again,
        Arrived::AgainComplete,
    ];
    events.extend(arrived.map(Event::RequestHeaders));
    events.extend(flags.map(|complete| Event::RequestBody { complete }));
    let selected = [
        Selected::Forwarded,
        Selected::PassedOn,
        Selected::AwaitRedis,
        Selected::Reply,
        Selected::NotRewritten,
    ];
    events.extend(selected.map(Event::Selected));
    for complete in flags {
        let headers = |status| Event::ResponseHeaders { status, complete };
        events.extend([Status::Success, Status::TooLarge, Status::Failure].map(headers));
        let body = |size| Event::ResponseBody { size, complete };
        events.extend([0, 1, ERROR_BODY, ERROR_BODY + 1].map(body));
        let checked = |answer| Event::Checked { answer, complete };
        events.extend([Checked::Undecided, Checked::Genuine, Checked::Failed].map(checked));
    }
    let settled = [Settled::Relay, Settled::Reply, Settled::Retry, Settled::RetryLater];
    events.extend(settled.map(Event::Settled));
    events.extend([Due::Retry, Due::Idle, Due::Held].map(Event::Tick));
    events
}

/// A row of the table: in these phases, after this event, this happens.
type Row = (&'static [Phase], Event, Phase, &'static [Effect]);

/// Checks the rows, and that the event is impossible in every other phase.
fn check(rows: &[Row]) {
    for (phases, event, then, effects) in rows {
        for phase in *phases {
            assert_eq!(next(*phase, *event), (*then, *effects), "{phase:?} x {event:?}");
        }
    }
    for (_, event, ..) in rows {
        let known = |phase: &Phase| rows.iter().any(|row| row.1 == *event && row.0.contains(phase));
        for phase in PHASES.iter().filter(|phase| !known(phase)) {
            let (_, effects) = next(*phase, *event);
            assert!(effects.contains(&Unreachable), "{phase:?} x {event:?}: {effects:?}");
        }
    }
}

#[test]
fn request_headers_are_held_answered_or_start_probes() {
    let headers = Event::RequestHeaders;
    check(&[
        (&[New], headers(Arrived::Hold), AwaitBody, &[Pause]),
        (&[New], headers(Arrived::Complete), AwaitBody, &[Select]),
        (&[New], headers(Arrived::AgainComplete), Restoring, &[Restore]),
        (&[New], headers(Arrived::Reply), Done, &[SkipDuplicateLog, Reply, Pause]),
        (&[New], headers(Arrived::ReplyAfterBody), Refusing, &[Pause]),
        (&[New], headers(Arrived::Probe), Probing, &[StartProbes, Pause]),
        (&[New], headers(Arrived::Again), Restoring, &[Pause]),
    ]);
}

#[test]
fn a_deployment_is_selected_for_a_complete_body_only() {
    let part = |complete| Event::RequestBody { complete };
    check(&[
        (&[AwaitBody], part(false), AwaitBody, &[Pause]),
        (&[AwaitBody], part(true), AwaitBody, &[Select]),
        (&[Probing], part(false), Probing, &[Pause]),
        (&[Probing], part(true), Probing, &[Pause]),
        (&[Done], part(false), Done, &[Pause]),
        (&[Done], part(true), Done, &[Pause]),
        (&[Restoring], part(false), Restoring, &[Pause]),
        (&[Restoring], part(true), Restoring, &[Restore]),
        (&[AwaitBody], Event::BodyTooLarge, Done, &[RefuseTooLarge, Pause]),
        (&[Refusing], part(false), Refusing, &[DiscardRequest, Pause]),
        (&[Refusing], part(true), Done, &[SkipDuplicateLog, Reply, Pause]),
        (&[Refusing], Event::BodyTooLarge, Done, &[SkipDuplicateLog, Reply, Pause]),
    ]);
}

#[test]
fn a_request_goes_on_only_when_it_was_rewritten() {
    let (waits, selected) = (&[AwaitBody, Phase::AwaitRedis], Event::Selected);
    check(&[
        (waits, selected(Selected::Forwarded), Sent, &[RefillLease, StartIdleTimeout, Continue]),
        (waits, selected(Selected::PassedOn), Restoring, &[Continue]),
        (waits, selected(Selected::AwaitRedis), Phase::AwaitRedis, &[Effect::AwaitRedis, Pause]),
        (waits, selected(Selected::Reply), Done, &[Reply, Pause]),
        (waits, selected(Selected::NotRewritten), Done, &[Abandon, ReplyError, Pause]),
        // A request that is back is no attempt of the edge's: nothing is settled.
        (&[Restoring], selected(Selected::Forwarded), Restoring, &[Continue]),
        (&[Restoring], selected(Selected::NotRewritten), Done, &[ReplyError, Pause]),
    ]);
    for (phase, event) in
        PHASES.iter().flat_map(|phase| events().into_iter().map(move |event| (phase, event)))
    {
        let is_request = matches!(event, Event::RequestHeaders(_) | Event::RequestBody { .. });
        let (_, effects) = next(*phase, event);
        assert!(!is_request || !effects.contains(&Continue), "{phase:?} x {event:?}");
    }
}

#[test]
fn a_lease_selects_again_unless_envoy_has_answered() {
    check(&[
        (&[Phase::AwaitRedis], Event::RedisReady, Phase::AwaitRedis, &[Select]),
        (&[Done], Event::RedisReady, Done, &[]),
    ]);
}

#[test]
fn response_headers_are_held_until_the_body_shows_what_they_are() {
    let headers = |status, complete| Event::ResponseHeaders { status, complete };
    let logged: &[Phase] = &[New, Restoring, Done];
    let early: &[Phase] = &[Refusing, Phase::AwaitRedis, Probing];
    let all: &[Phase] = &[AwaitBody, Refusing, Phase::AwaitRedis, Probing];
    check(&[
        (&[Sent], headers(Status::Success, false), HoldAnswer, &[StartAnswer, StartIdleTimeout, Pause]),
        (&[Sent], headers(Status::Success, true), HoldAnswer, &[StartAnswer, Check]),
        (&[Sent], headers(Status::Failure, false), ReadError, &[ReadFailure, StartIdleTimeout, Pause]),
        (&[Sent], headers(Status::Failure, true), ReadError, &[ReadFailure, Settle]),
        (&[Sent], headers(Status::TooLarge, false), ReadError, &[ReadFailure, StartIdleTimeout, Pause]),
        (&[Sent], headers(Status::TooLarge, true), ReadError, &[ReadFailure, Settle]),
        // Of Envoy itself.
        (&[AwaitBody], headers(Status::TooLarge, false), Done, &[RefuseTooLarge, Pause]),
        (&[AwaitBody], headers(Status::TooLarge, true), Done, &[RefuseTooLarge, Pause]),
        (early, headers(Status::TooLarge, false), Done, &[RecordLocalReply, Continue]),
        (early, headers(Status::TooLarge, true), Done, &[RecordLocalReply, Continue]),
        (all, headers(Status::Failure, false), Done, &[RecordLocalReply, Continue]),
        (all, headers(Status::Failure, true), Done, &[RecordLocalReply, Continue]),
        (all, headers(Status::Success, false), Done, &[RecordLocalReply, Continue]),
        (all, headers(Status::Success, true), Done, &[RecordLocalReply, Continue]),
        (logged, headers(Status::TooLarge, false), Done, &[Continue]),
        (logged, headers(Status::TooLarge, true), Done, &[Continue]),
        (logged, headers(Status::Failure, false), Done, &[Continue]),
        (logged, headers(Status::Failure, true), Done, &[Continue]),
        (logged, headers(Status::Success, false), Done, &[Continue]),
        (logged, headers(Status::Success, true), Done, &[Continue]),
    ]);
}

#[test]
fn a_response_body_is_checked_then_scanned_and_an_error_is_read_up_to_its_limit() {
    let sizes = [0, 1, ERROR_BODY, ERROR_BODY + 1];
    for (size, complete) in sizes.iter().flat_map(|size| [(*size, false), (*size, true)]) {
        let part = Event::ResponseBody { size, complete };
        let held: &[Effect] = if size == 0 && !complete { &[Pause] } else { &[Check] };
        let error: &[Effect] = if complete || size > ERROR_BODY { &[Settle] } else { &[Pause] };
        let (then, scan): (_, &[Effect]) =
            if complete { (Done, &[Scan, EndAnswer, Continue]) } else { (Streaming, &[Scan, Continue]) };
        check(&[
            (&[HoldAnswer], part, HoldAnswer, held),
            (&[Streaming], part, then, scan),
            (&[ReadError], part, ReadError, error),
            (&[RetryWait], part, RetryWait, &[DiscardBody, Pause]),
            (&[Done], part, Done, &[Continue]),
        ]);
    }
}

#[test]
fn the_first_bytes_decide_what_a_success_status_is_worth() {
    let checked = |answer, complete| Event::Checked { answer, complete };
    check(&[
        (&[HoldAnswer], checked(Checked::Undecided, false), HoldAnswer, &[Pause]),
        (&[HoldAnswer], checked(Checked::Undecided, true), HoldAnswer, &[Pause]),
        (&[HoldAnswer], checked(Checked::Genuine, false), Streaming, &[Scan, Continue]),
        (&[HoldAnswer], checked(Checked::Genuine, true), Done, &[Scan, EndAnswer, Continue]),
        (&[HoldAnswer], checked(Checked::Failed, false), ReadError, &[Settle]),
        (&[HoldAnswer], checked(Checked::Failed, true), ReadError, &[Settle]),
    ]);
}

#[test]
fn a_failed_attempt_does_what_the_router_decides() {
    let settled = Event::Settled;
    check(&[
        (&[ReadError], settled(Settled::Relay), Done, &[AddErrorHeaders, Continue]),
        (&[ReadError], settled(Settled::Reply), Done, &[Reply, Pause]),
        (&[ReadError], settled(Settled::Retry), Done, &[RequestRetry, Continue]),
        (&[ReadError], settled(Settled::RetryLater), RetryWait, &[RequestRetry, StartRetryTimer, Pause]),
    ]);
}

#[test]
fn probes_timers_and_the_end_find_their_phase() {
    let idle = Event::Tick(Due::Idle);
    check(&[
        (&[Probing], Event::ProbesDone, Done, &[Reply]),
        (&[Done], Event::ProbesDone, Done, &[]),
        (&[RetryWait], Event::Tick(Due::Retry), Done, &[ResumeResponse]),
        (&[Done], Event::Tick(Due::Retry), Done, &[]),
        (&[HoldAnswer, ReadError], idle, ReadError, &[TimeOut, Settle]),
        (&[Sent], idle, HoldAnswer, &[CloseStream]),
        (&[Streaming], idle, Streaming, &[CloseStream]),
        (&[Done], idle, Done, &[CloseStream]),
        (&[HoldAnswer], Event::Tick(Due::Held), HoldAnswer, &[EndHold, Check]),
        (&[Streaming], Event::Tick(Due::Held), Streaming, &[]),
        (&[ReadError], Event::Tick(Due::Held), ReadError, &[]),
        (&[Done], Event::Tick(Due::Held), Done, &[]),
        (&[AwaitBody, Phase::AwaitRedis], Event::Log, Done, &[ClientDisconnected]),
        (&[Sent], Event::Log, Done, &[Abandon]),
        (&[HoldAnswer, ReadError], Event::Log, Done, &[ResetAttempt]),
        (&[Streaming], Event::Log, Done, &[EndInterrupted]),
        (&[RetryWait], Event::Log, Done, &[EndRetryWait]),
        (&[Restoring], Event::Log, Done, &[EndRestoring]),
        (&[Probing], Event::Log, Done, &[ClientDisconnected]),
        (&[New, Refusing, Done], Event::Log, Done, &[]),
    ]);
}

#[test]
fn missing_state_is_a_local_error_and_nothing_passes() {
    check(&[
        (
            &[New, AwaitBody, Refusing, Phase::AwaitRedis, Sent],
            Event::StateMissing,
            Done,
            &[Abandon, ReplyError, Pause],
        ),
        (
            &[HoldAnswer, ReadError, Restoring, Probing],
            Event::StateMissing,
            Done,
            &[Abandon, ReplyError, Pause],
        ),
        (&[Streaming], Event::StateMissing, Streaming, &[Abandon, CloseStream, Pause]),
        (&[RetryWait], Event::StateMissing, RetryWait, &[Pause]),
        (&[Done], Event::StateMissing, Done, &[ReplyError, Pause]),
    ]);
}

/// Events for which Envoy waits: whether the message goes on.
fn is_callback(event: Event) -> bool {
    !matches!(event, Event::RedisReady | Event::ProbesDone | Event::Tick(_) | Event::Log)
}

#[test]
fn what_cannot_happen_ends_in_a_safe_answer() {
    for (phase, event) in
        PHASES.iter().flat_map(|phase| events().into_iter().map(move |event| (*phase, event)))
    {
        let (then, effects) = next(phase, event);
        if !effects.contains(&Unreachable) {
            continue;
        }
        let is_request = matches!(
            event,
            Event::RequestHeaders(_) | Event::RequestBody { .. } | Event::BodyTooLarge | Event::Selected(_)
        );
        let safe: &[Effect] = match phase {
            // No message waits for an action, and the stream takes its course.
            _ if !is_callback(event) => &[Unreachable],
            RetryWait => &[Unreachable, Pause],
            Streaming if is_request => &[Unreachable, Pause],
            // The client has begun to read an answer that was checked.
            Streaming | Done if !is_request => &[Unreachable, Continue],
            _ => &[Unreachable, Abandon, ReplyError, Pause],
        };
        assert_eq!(effects, safe, "{phase:?} x {event:?}");
        assert!(then == phase || then == Done, "{phase:?} x {event:?}: {then:?}");
    }
}

#[test]
fn every_callback_gets_one_action_and_it_is_the_last_effect() {
    for (phase, event) in
        PHASES.iter().flat_map(|phase| events().into_iter().map(move |event| (*phase, event)))
    {
        let (_, effects) = next(phase, event);
        // The event that follows from these decides.
        let decides_later = matches!(effects.last(), Some(Select | Restore | Check | Settle));
        let is_action = |effect: &&Effect| matches!(effect, Continue | Pause);
        let actions = effects.iter().filter(is_action).count();
        let expected = usize::from(is_callback(event) && !decides_later);
        assert_eq!(actions, expected, "{phase:?} x {event:?}: {effects:?}");
        assert!(
            expected == 0 || effects.last().is_some_and(|last| is_action(&last)),
            "{phase:?} x {event:?}"
        );
    }
}
