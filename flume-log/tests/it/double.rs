//! The test double.

use serde_json::json;

use crate::only;

#[tokio::test]
async fn what_a_task_logs_is_captured() {
    let captured = flume_log::test::capture().unwrap();
    let task = async { log::info!(order = 17; "placed") };
    tokio::spawn(task).await.unwrap();
    assert_eq!(only(&captured.take())["fields"], json!({"order": 17}));
}

#[test]
fn tests_at_the_same_time_see_their_own_lines_only() {
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                let captured = flume_log::test::capture().unwrap();
                (0..100).for_each(|_| log::info!("from {thread}"));
                let wanted = format!("\"msg\":\"from {thread}\"");
                let bodies = captured.take_bodies();
                assert_eq!(bodies.len(), 100);
                assert!(
                    bodies.iter().all(|body| body.contains(&wanted)),
                    "{bodies:?}"
                );
            });
        }
    });
}

#[test]
fn a_thread_that_enters_a_capture_logs_into_it_until_it_leaves() {
    let captured = flume_log::test::capture().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            log::info!("nowhere");
            let entered = captured.enter();
            log::info!("here");
            drop(entered);
            log::info!("nowhere again");
        });
    });
    assert_eq!(only(&captured.take())["msg"], "here");
}

#[test]
fn a_capture_that_is_dropped_takes_nothing_from_the_one_after_it() {
    let first = flume_log::test::capture().unwrap();
    let second = flume_log::test::capture().unwrap();
    drop(first);
    log::info!("here");
    assert_eq!(only(&second.take())["msg"], "here");
}
