//! The test double.

use serde_json::json;

use crate::{captured, messages, only};

#[tokio::test]
async fn what_a_task_logs_is_captured() {
    let captured = captured();
    let task = async {
        tracing::info!(order = 17, "placed");
    };
    tokio::spawn(task).await.unwrap();
    let events = captured.take();
    assert_eq!(only(&events)["fields"], json!({"order": 17}));
    assert_eq!(events[0].header_value("level"), Some("INFO"));
}

#[test]
fn tests_at_the_same_time_see_their_own_lines_only() {
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                let captured = captured();
                (0..100).for_each(|_| tracing::info!("from {thread}"));
                let expected = vec![format!("from {thread}"); 100];
                assert_eq!(messages(&captured.take()), expected);
            });
        }
    });
}

#[test]
fn what_was_taken_does_not_come_again_and_after_it_nothing_is_captured() {
    let captured = captured();
    tracing::info!("one");
    assert_eq!(messages(&captured.take()), ["one"]);
    assert!(captured.take().is_empty());
    let inner = crate::captured();
    tracing::info!("two");
    drop(inner);
    tracing::info!("three");
    assert_eq!(messages(&captured.take()), ["three"]);
}
