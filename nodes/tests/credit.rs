//! Tables, jobs and reports of credit data: at real nodes, and by the commands. One program, because each takes as long to link as its tests to run.

#[path = "credit/jobs.rs"]
mod jobs;
#[path = "credit/report.rs"]
mod report;
#[path = "credit/sample.rs"]
mod sample;
#[path = "credit/table.rs"]
mod table;
#[path = "credit/tutorial.rs"]
mod tutorial;
#[path = "credit/vertical.rs"]
mod vertical;
