//! What a client costs its process: threads, memory, allocations.

use std::time::Duration;

use flume_client::{Client, Event};
use tempfile::TempDir;

use crate::support::{
    Agent, Greeting, HOUR, PATIENCE, Port, alone, anonymous_bytes, append_all, client_at,
    client_of, effort, event, give_up, greets, open_files, resident_bytes, threads,
};

#[test]
fn every_client_s_thread_ends_with_it() {
    alone("cost::every_client_s_thread_ends_with_it", || {
        let before = threads();
        let port = Port::reserve();
        let clients: Vec<_> = (0..100)
            .map(|_| client_at([port.url()]).build().unwrap())
            .collect();
        assert!(threads() >= before + 100, "a thread each");
        for (number, client) in clients.iter().enumerate() {
            drop(client.append(event(number as u64)).unwrap());
        }
        for client in &clients {
            assert_eq!(give_up(client, Duration::ZERO).lost.total(), 1);
        }
        let ended = || threads() == before;
        flume_tests::wait_until("the end of all threads", PATIENCE, ended).unwrap();
        drop(clients);
    });
}

#[test]
fn dropped_clients_leave_no_thread_no_file_and_no_memory_behind() {
    alone(
        "cost::dropped_clients_leave_no_thread_no_file_and_no_memory_behind",
        || {
            // The port of the agent stays reserved.
            let files = open_files() + 1;
            let agent = Agent::good();
            let round = || {
                let client = client_of(&[&agent]).build().unwrap();
                append_all(&client, 0..10);
            };
            (0..20).for_each(|_| round());
            let before = resident_bytes();
            (0..200).for_each(|_| round());
            let grown = resident_bytes().saturating_sub(before);
            assert!(grown < 8 << 20, "{grown} bytes more");
            drop(agent);
            let ended = || threads() <= 2 && open_files() <= files;
            flume_tests::wait_until("the end of all threads", PATIENCE, ended).unwrap();
        },
    );
}

#[test]
fn an_outage_with_a_trickle_of_events_takes_little_more_than_the_events() {
    alone(
        "cost::an_outage_with_a_trickle_of_events_takes_little_more_than_the_events",
        || {
            let client = client_at([Port::reserve().url()])
                .linger(Duration::ZERO)
                .build()
                .unwrap();
            let before = anonymous_bytes();
            for _ in 0..40_000 {
                drop(client.append(Event::new([b'x'; 50])).unwrap());
                // Makes the client take in every event by itself.
                drop(client.flush(Duration::ZERO).wait());
            }
            let pending = client.stats().pending_bytes;
            assert_eq!(pending, 40_000 * 52);
            let grown = anonymous_bytes().saturating_sub(before);
            assert!(
                grown < pending + (7 << 19),
                "{grown} bytes more for {pending}"
            );
            assert_eq!(give_up(&client, Duration::ZERO).lost.closed, 40_000);
        },
    );
}

#[test]
fn while_no_agent_takes_a_batch_callers_wake_no_thread_for_each_that_they_fill() {
    let test = "cost::while_no_agent_takes_a_batch_callers_wake_no_thread_for_each_that_they_fill";
    alone(test, || {
        let agent = Agent::scripted([greets(Greeting::Unanswered)]);
        let client = client_of(&[&agent]).batch_events(100).build().unwrap();
        append_all(&client, 0..200);
        // It has taken those in when it answers this.
        client.flush(Duration::ZERO).wait().unwrap_err();
        let before = effort().0;
        for batch in 2..500 {
            append_all(&client, batch * 100..(batch + 1) * 100);
            std::thread::yield_now();
        }
        let woken = effort().0 - before;
        assert!(woken < 40, "{woken} times for 498 batches");
        assert_eq!(give_up(&client, Duration::ZERO).lost.total(), 50_000);
    });
}

#[test]
fn appending_allocates_nothing_once_the_buffers_have_grown() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).linger(HOUR).build().unwrap();
    check_appending_allocates_nothing(&client, |client, event| {
        drop(client.append(event).unwrap());
    });
    check_appending_allocates_nothing(&client, |client, event| client.send(event).unwrap());
}

#[test]
fn parts_of_events_are_taken_without_allocations_whatever_the_client_adds() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).linger(HOUR).event_ids(true);
    let client = client.header("service", "orders").timestamp();
    let client = client.build().unwrap();
    let headers = [("host", "web-1"), ("level", "INFO")];
    check_appending_allocates_nothing(&client, |client, event| {
        drop(client.append_parts(&headers, event.body()).unwrap());
    });
    check_appending_allocates_nothing(&client, |client, event| {
        client.send_parts(&headers, event.body()).unwrap();
    });
}

#[test]
fn appending_to_a_spool_allocates_nothing_once_the_buffers_have_grown() {
    let home = TempDir::new().unwrap();
    let agent = Agent::good();
    let client = client_of(&[&agent]).linger(HOUR).event_ids(true);
    let client = client.spool(home.path()).spool_free_bytes(0);
    check_appending_allocates_nothing(&client.build().unwrap(), |client, event| {
        drop(client.append(event).unwrap());
    });
}

fn check_appending_allocates_nothing(client: &Client, append: impl Fn(&Client, Event)) {
    let mut allocations = Vec::new();
    for round in 0..40 {
        let events: Vec<_> = (round * 1000..(round + 1) * 1000).map(event).collect();
        let measured = allocation_counter::measure(|| {
            for event in events {
                append(client, event);
            }
        });
        allocations.push(measured.count_total);
        client.flush(PATIENCE).wait().unwrap();
    }
    // Buffers come and go with the client's turns. When its threads get no time, more of them are
    // under way than the client keeps, and one that is made anew costs two allocations: that comes to
    // pass in some rounds on a busy machine, and not in most.
    let mut settled = allocations[20..].to_vec();
    settled.sort_unstable();
    assert_eq!(settled[10], 0, "in most rounds: {allocations:?}");
    let sum: u64 = settled.iter().sum();
    assert!(sum <= 200, "for 20,000 events: {allocations:?}");
}

#[test]
fn waits_for_room_that_are_given_up_leave_no_memory_behind() {
    alone(
        "cost::waits_for_room_that_are_given_up_leave_no_memory_behind",
        || {
            let agent = Agent::scripted([greets(Greeting::Unanswered)]);
            let client = client_of(&[&agent])
                .event_bytes(100)
                .buffer_bytes(100)
                .build()
                .unwrap();
            drop(client.append(Event::new([b'x'; 90])).unwrap());
            let before = resident_bytes();
            for _ in 0..100_000 {
                assert!(!client.ready(50).wait(Duration::ZERO));
            }
            let grown = resident_bytes().saturating_sub(before);
            assert!(grown < 2 << 20, "{grown} bytes more");
            assert!(!give_up(&client, Duration::ZERO).is_complete());
        },
    );
}

#[test]
fn flushes_that_nobody_awaits_leave_no_memory_behind() {
    let test = "cost::flushes_that_nobody_awaits_leave_no_memory_behind";
    alone(test, || {
        let agent = Agent::scripted([greets(Greeting::Unanswered)]);
        let client = client_of(&[&agent]).build().unwrap();
        drop(client.append(event(0)).unwrap());
        let before = resident_bytes();
        for _ in 0..500 {
            (0..100).for_each(|_| drop(client.flush(HOUR)));
            // The client has taken all of them in when it answers this one.
            client.flush(Duration::ZERO).wait().unwrap_err();
        }
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown < 2 << 20, "{grown} bytes more");
        assert_eq!(give_up(&client, Duration::ZERO).lost.total(), 1);
    });
}
