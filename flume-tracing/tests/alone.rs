//! A layer that is alone, in a process of its own: `tracing` has one greatest level for all
//! subscribers of a process.

use flume_appender::Level;
use flume_tracing::LayerBuilder;
use tracing_subscriber::layer::SubscriberExt;

#[test]
fn a_layer_that_is_alone_switches_off_what_it_does_not_want_and_on_again() {
    let builder = flume_tracing::layer().filter("warn").alone(true);
    let (layer, captured) = flume_tracing::test::layer(builder).unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        let would_log = || tracing::enabled!(tracing::Level::INFO);
        assert!(!would_log());
        tracing::info!("not wanted");
        captured.guard().set_level(Level::Info);
        assert!(would_log());
        tracing::info!("wanted");
    });
    let bodies = captured.take_bodies();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert!(bodies[0].contains(r#""msg":"wanted""#), "{bodies:?}");
}
