//! Metrics, alarms and the dashboard: what is declared, what the functions write, what the template looks at.

mod alarm;
mod alarms;
mod cost;
mod emf;
mod emitted;
mod template;
