//! The real `migrate-run` is killed, stopped and kept from writing, and ends as if nothing had happened.

use migrate_tests::project::Profile;
use migrate_tests::torture::trial::WRITTEN_AGAIN;
use migrate_tests::torture::{Size, Stage, Target, Trial, Undisturbed};

/// A run that nothing disturbs, and that ends in the right documents.
async fn undisturbed(stage: &Stage) -> Undisturbed {
    let undisturbed = stage.undisturbed().await.unwrap();
    let end = &undisturbed.end;
    assert!(end.differences.is_none() && end.secrets == 0, "{end:?}");
    undisturbed
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_lose_and_double_nothing() {
    let stage = Stage::open(Size::FULL, Profile::Own).await.unwrap();
    assert!(stage.expected().rejected() > 100, "{} rejects", stage.expected().rejected());
    let Undisturbed { end: expected, idle_writes, elapsed: span } = undisturbed(&stage).await;
    assert_eq!(expected.differences.rows, Size::FULL.rows());
    let mut random = fastrand::Rng::with_seed(20_000);
    let mut kills = 0;
    while kills < 50 {
        let mut trial = Trial::new(&stage, Target::bench().await.unwrap()).unwrap();
        let killed = trial.run_with_kills(&mut random, span).await.unwrap();
        assert_eq!(trial.end().await.unwrap(), expected, "after {killed} kills");
        let again = trial.target.written_again() - idle_writes;
        assert!(again <= killed * WRITTEN_AGAIN, "{again} records were written again after {killed} kills");
        kills += killed;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_double_nothing_where_the_generated_functions_decide() {
    let stage = Stage::open(Size::SMALL, Profile::Own).await.unwrap();
    let span = undisturbed(&stage).await.elapsed;
    let mut random = fastrand::Rng::with_seed(600);
    let mut kills = 0;
    while kills < 6 {
        let mut trial = Trial::new(&stage, Target::local(&stage).await.unwrap()).unwrap();
        kills += trial.run_with_kills(&mut random, span).await.unwrap();
        let end = trial.end().await.unwrap();
        assert!(end.differences.is_none() && end.secrets == 0, "{kills} kills: {end:?}");
    }
}
