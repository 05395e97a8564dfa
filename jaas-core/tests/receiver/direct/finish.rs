//! Finish.

use super::*;

#[tokio::test(start_paused = true)]
async fn waits_for_running_handlers_at_most_the_grace() {
    let gate = Gate::new();
    let direct = built(builder(AtGate(gate.clone())).timeout(Duration::from_secs(3600)));
    let receiver = Arc::new(receiver(direct.clone()));
    let first = spawn(&receiver, "k-1");
    gate.wait_for(1).await;
    receiver.close();

    let start = Instant::now();
    assert!(!direct.finish(Duration::from_secs(3)).await);
    assert_eq!(start.elapsed(), Duration::from_secs(3));

    gate.open(1);
    assert!(direct.finish(Duration::from_secs(3)).await);
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    assert_eq!(first.await.expect("no panic"), HANDLED);
}

#[tokio::test(start_paused = true)]
async fn has_nothing_to_wait_for_when_nothing_runs() {
    let start = Instant::now();
    assert!(built(builder(Recorder::new())).finish(Duration::from_secs(3)).await);
    assert_eq!(start.elapsed(), Duration::ZERO);
}
