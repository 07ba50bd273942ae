//! Every handler on an in-memory AWS, event by event: golden events, refusals, doubled, late and reordered messages.
//!
//! The tables below a [`support::World`] check each commit against both state machines, so every test here is a test
//! of them too.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod account;
mod archive;
mod attack;
mod authorize;
mod bad_input;
mod beside;
mod claim;
mod credits;
mod deeds;
mod demand;
mod dispatch;
mod edge;
mod erase;
mod fair;
mod forecast;
mod forgotten;
mod fuzz;
mod generate;
mod golden;
mod held;
mod history;
mod idle_reaper;
mod keep;
mod lifecycle;
mod limits;
mod list;
mod lists;
mod loras;
mod models;
mod money;
mod monitoring;
mod nodes;
mod oidc;
mod openapi;
mod ops_task;
mod pages;
mod past;
mod pools;
mod port;
mod presence;
mod progress_push;
mod recording;
mod register;
mod routes;
mod serial;
mod sign_in;
mod simulation;
mod studio;
mod support;
mod sweep;
mod user_data;
mod users;
mod variants;
mod versions;
