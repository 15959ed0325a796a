//! What is not pinned stays as the last build resolved it, until a requirements file changes or `--refresh`.

use e2e::app::App;
use e2e::index::Index;
use e2e::program::Longshore;

#[test]
fn unpinned_requirements_stay_until_refresh() {
    let index = Index::start();
    let Some(()) = index.publish("quayside", "1.0") else {
        return;
    };
    let longshore = Longshore::copied().with("PIP_EXTRA_INDEX_URL", index.url());
    let app = App::copy_of("flask-plain");
    app.append("requirements.txt", "quayside\n");
    let installed = |more: &[&str]| {
        let built = longshore.build(app.path(), &[&["-t", "resolution"], more].concat());
        let ask = [
            "run",
            "resolution",
            "--",
            "python",
            "-c",
            "import quayside; print(quayside.VERSION)",
        ];
        let said = longshore.run(&ask);
        said.assert_code(0);
        (said.stdout.trim().to_owned(), built)
    };
    assert_eq!(installed(&[]).0, "1.0");

    index.publish("quayside", "1.1");
    app.append("app.py", "\n# A remark.\n");
    let (version, built) = installed(&[]);
    assert_eq!(version, "1.0");
    // The log says from when the set is.
    built.assert_says(&["in the versions chosen on 20"]);
    assert_eq!(installed(&["--refresh"]).0, "1.1");

    index.publish("quayside", "1.2");
    app.append("requirements.txt", "# A change.\n");
    assert_eq!(installed(&[]).0, "1.2");
}
