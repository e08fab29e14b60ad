use super::*;
use crate::stats::{AgentStats, Passed, SpoolStats, Stats, Timing};
use crate::wire::avro::session::SessionError;

const LIMITS: Limits = Limits {
    linger: Duration::from_millis(20),
    rest_max: Duration::from_secs(30),
    #[cfg(feature = "dangerous-trust-any-certificate")]
    trusts_any: false,
};

#[cfg(feature = "dangerous-trust-any-certificate")]
#[test]
fn a_client_that_checks_no_certificates_says_so_all_the_time() {
    let limits = Limits {
        trusts_any: true,
        ..LIMITS
    };
    let health = Health::of(&stats(), limits);
    assert_eq!(health.status(), Status::Degraded);
    assert!(
        health.to_string().contains("certificates are not checked"),
        "{health}"
    );
    assert_eq!(Health::of(&stats(), LIMITS).status(), Status::Good);
}

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

/// Two agents that have not failed, and events that were taken a second ago.
fn stats() -> Stats {
    let agents = ["avro://a:1", "avro://b:1"].map(|url| AgentStats::new(url.parse().unwrap()));
    Stats {
        pending: 10,
        agents: agents.into(),
        timing: Timing {
            oldest_pending: seconds(1),
            ..Timing::default()
        },
        ..Stats::default()
    }
}

fn fail(agent: &mut AgentStats, ago: u64) {
    agent.connected = true;
    agent.failing_for = seconds(ago + 5);
    agent.last_failure = seconds(ago);
    agent.last_error = Some(Arc::new(AgentError::Refused { status: "FAILED" }));
}

#[track_caller]
fn check(stats: &Stats, status: Status, problems: &[(&str, &str)]) {
    let health = Health::of(stats, LIMITS);
    let found = health.problems.iter().map(Problem::kind);
    let expected: Vec<_> = problems.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(found.collect::<Vec<_>>(), expected, "{health}");
    assert_eq!(health.status(), status);
    for (problem, (_, words)) in health.problems.iter().zip(problems) {
        assert!(problem.to_string().contains(words), "{problem}");
    }
}

#[test]
fn events_that_came_just_now_are_no_problem_nor_is_an_old_backlog_that_moves() {
    check(&Stats::default(), Status::Good, &[]);
    check(&stats(), Status::Good, &[]);
    let mut stats = stats();
    stats.timing.oldest_pending = seconds(24 * 3600);
    stats.timing.delivered = seconds(0);
    stats.timing.advanced = seconds(0);
    check(&stats, Status::Good, &[]);
}

#[test]
fn a_connection_that_stands_is_no_progress() {
    let mut stats = stats();
    for agent in &mut stats.agents {
        fail(agent, 1);
    }
    let agents = [
        ("agent", "avro://a:1 takes no events"),
        ("agent", "avro://b:1"),
    ];
    let no_agent = (
        "no_agent",
        "no agent takes the 10 events that wait; the agent refused",
    );
    check(&stats, Status::Failing, &[no_agent, agents[0], agents[1]]);
    // Nobody waits for them.
    stats.pending = 0;
    check(&stats, Status::Degraded, &agents);
}

#[test]
fn what_only_a_person_can_mend_is_told_for_as_long_as_it_is_not_tried_again() {
    let mut stats = stats();
    for agent in &mut stats.agents {
        // An agent of which nothing passes by itself is tried again after up to 12 minutes.
        fail(agent, 12 * 60);
        agent.last_error = Some(Arc::new(SessionError::ProtocolRefused.into()));
    }
    let Problem::NoAgent { pending, .. } = &Health::of(&stats, LIMITS).problems[0] else {
        panic!("{}", Health::of(&stats, LIMITS));
    };
    assert_eq!(*pending, 10);
}

#[test]
fn one_agent_that_fails_beside_one_that_works_degrades_until_that_is_old_news() {
    let mut stats = stats();
    fail(&mut stats.agents[0], 59);
    check(
        &stats,
        Status::Degraded,
        &[("agent", "refused a batch with FAILED")],
    );
    stats.agents[0].last_failure = seconds(60);
    check(&stats, Status::Good, &[]);
}

#[test]
fn nothing_acknowledged_for_a_while_is_a_stall_though_nothing_has_failed() {
    let mut stats = stats();
    stats.timing.oldest_pending = Some(STALLED_AFTER + LIMITS.linger);
    check(
        &stats,
        Status::Failing,
        &[("stalled", "none was acknowledged for 10 s")],
    );
    stats.timing.delivered = seconds(300);
    check(&stats, Status::Failing, &[("stalled", "for 10 s")]);
    // Those that linger are not held up by anybody.
    let patient = Limits {
        linger: Duration::from_secs(60),
        ..LIMITS
    };
    assert!(Health::of(&stats, patient).is_good());
    stats.timing.delivered = seconds(9);
    check(&stats, Status::Good, &[]);
}

#[test]
fn one_event_that_nobody_takes_is_told_though_all_others_are_acknowledged() {
    let mut stats = stats();
    stats.timing.oldest_pending = seconds(70);
    stats.timing.delivered = seconds(0);
    stats.timing.advanced = seconds(59);
    check(&stats, Status::Good, &[]);
    stats.timing.advanced = seconds(60);
    check(
        &stats,
        Status::Degraded,
        &[("stuck", "waited for 60 s while others")],
    );
}

#[test]
fn want_of_room_and_losses_are_told_for_a_minute() {
    let mut stats = stats();
    stats.refused.full = 360;
    stats.timing.no_room = seconds(59);
    check(
        &stats,
        Status::Failing,
        &[("full", "360 times in the buffer")],
    );
    stats.timing.no_room = seconds(60);
    stats.lost.unreachable = 7;
    stats.lost.shed = 2;
    stats.timing.lost = seconds(3);
    let words = "the last 3 s ago, so far 7 unreachable, 2 shed";
    check(&stats, Status::Failing, &[("losing", words)]);
    stats.timing.lost = seconds(60);
    check(&stats, Status::Good, &[]);
}

#[test]
fn a_disk_that_does_not_store_is_told_and_explains_what_stands_still() {
    let mut stats = stats();
    stats.timing.oldest_pending = seconds(100);
    stats.spool = Some(SpoolStats {
        unstored: 10,
        trouble: Some(Arc::new(SpoolError::DiskFull)),
        ..SpoolStats::default()
    });
    let words = "10 events cannot be stored and wait in memory: the spool's disk is full";
    check(&stats, Status::Failing, &[("spool", words)]);
    // They were delivered all the same, and it is still full.
    let spool = stats.spool.as_mut().unwrap();
    (spool.unstored, spool.delivered_unstored) = (0, 10);
    (stats.pending, stats.timing.oldest_pending) = (0, None);
    let words = "; so far 10 were delivered from memory and never stored";
    check(&stats, Status::Failing, &[("spool", words)]);
    let words = "events cannot be stored: the spool's disk is full";
    check(&stats, Status::Failing, &[("spool", words)]);
}

#[test]
fn of_what_cannot_be_read_no_more_is_said_to_wait_than_does() {
    let told = |file: &str, passed, events_max| {
        let unreadable = UnreadableEvents {
            file: file.into(),
            events_max,
            why: "Permission denied".into(),
            passed,
        };
        Problem::Unreadable { unreadable }.to_string()
    };
    let segment = "/spool/seg-0000000000000003.flb";
    for (passed, words) in [
        (Passed::Yes, ", so up to 7 events wait: "),
        (Passed::Left, ", so up to 7 events wait: "),
        (
            Passed::Awaited,
            ", so up to 7 events wait, those behind it among them: ",
        ),
        (Passed::NotYet, ", and up to 7 events may be in it: "),
    ] {
        let end = "Permission denied; they are sent when it can be";
        let expected = format!("{segment} cannot be read{words}{end}");
        assert_eq!(told(segment, passed, 7), expected);
        let none = "cannot be read: Permission denied; no event is known to wait for it";
        assert_eq!(told(segment, passed, 0), format!("{segment} {none}"));
        let directory = format!("something in /spool cannot be read{words}{end}");
        assert_eq!(told("/spool", passed, 7), directory);
    }
}

#[test]
fn a_client_that_was_closed_is_not_good() {
    let stats = Stats {
        closed: true,
        ..Stats::default()
    };
    check(
        &stats,
        Status::Failing,
        &[("closed", "takes no more events")],
    );
}

#[test]
fn time_changes_a_verdict_when_it_is_said_to_and_not_before() {
    let mut stats = stats();
    stats.timing.delivered = seconds(2);
    stats.timing.lost = seconds(3);
    fail(&mut stats.agents[1], 59);
    let mut now = Duration::ZERO;
    let mut seen = Vec::new();
    loop {
        let health = Health::of(&stats, LIMITS);
        let kinds: Vec<_> = health.problems.iter().map(Problem::kind).collect();
        seen.push((now.as_secs(), kinds.join(" ")));
        let Some(after) = Health::changes_after(&stats, LIMITS) else {
            break;
        };
        // A moment before, nothing is different.
        let early = later(&stats, after - Duration::from_nanos(1));
        let health_then = Health::of(&early, LIMITS);
        assert_eq!(
            health_then.problems.len(),
            health.problems.len(),
            "at {now:?}"
        );
        stats = later(&stats, after);
        now += after;
    }
    let expected = [
        (0, "losing agent"),
        (1, "losing"),
        (9, "losing stalled"),
        (57, "stalled"),
        (59, "stalled"),
    ];
    let seen: Vec<_> = seen
        .iter()
        .map(|(at, kinds)| (*at, kinds.as_str()))
        .collect();
    let sorted = |kinds: &str| {
        let mut kinds: Vec<_> = kinds.split(' ').map(str::to_owned).collect();
        kinds.sort();
        kinds
    };
    assert_eq!(seen.len(), expected.len(), "{seen:?}");
    for ((at, kinds), (expected_at, expected)) in seen.iter().zip(expected) {
        assert_eq!(
            (*at, sorted(kinds)),
            (expected_at, sorted(expected)),
            "{seen:?}"
        );
    }
}

/// The same counters, some time later.
fn later(stats: &Stats, by: Duration) -> Stats {
    let mut stats = stats.clone();
    let Timing {
        oldest_pending,
        advanced,
        delivered,
        lost,
        no_room,
    } = &mut stats.timing;
    let agents = stats.agents.iter_mut();
    let agents = agents.flat_map(|agent| [&mut agent.failing_for, &mut agent.last_failure]);
    let times = [oldest_pending, advanced, delivered, lost, no_room];
    times
        .into_iter()
        .chain(agents)
        .flatten()
        .for_each(|time| *time += by);
    stats
}

#[cfg(feature = "serde")]
#[test]
fn it_is_serialised_with_names_numbers_and_words() {
    let mut stats = stats();
    stats.lost.unreachable = 7;
    stats.timing.lost = seconds(3);
    fail(&mut stats.agents[0], 1);
    let health = serde_json::to_value(Health::of(&stats, LIMITS)).unwrap();
    assert_eq!(health["status"], "failing");
    let [losing, agent] = health["problems"].as_array().unwrap().as_slice() else {
        panic!("two problems: {health}");
    };
    assert_eq!(losing["kind"], "losing");
    assert_eq!(losing["ago_seconds"], 3.0);
    assert_eq!(losing["lost"]["unreachable"], 7);
    assert_eq!(agent["kind"], "agent");
    assert_eq!(agent["status"], "degraded");
    assert_eq!(agent["agent"], "avro://a:1");
    assert_eq!(agent["failing_seconds"], 6.0);
    assert!(
        agent["message"]
            .as_str()
            .unwrap()
            .starts_with("avro://a:1 takes no events")
    );
    let good = serde_json::to_string(&Health::default()).unwrap();
    assert_eq!(good, r#"{"status":"good","problems":[]}"#);
}

#[cfg(feature = "tls")]
#[test]
fn bad_files_of_tls_degrade_and_the_reason_is_told() {
    let trouble = TlsSettingsError::of_no_roots("none there");
    let words = trouble.to_string();
    let mut stats = stats();
    stats.tls_trouble = Some(Arc::new(trouble));
    check(&stats, Status::Degraded, &[("certificates", &words)]);
    stats.tls_trouble = None;
    check(&stats, Status::Good, &[]);
}
