use model::Millis;

/// A day and a time, as [`written`] takes it.
pub const DATE: &str = "%-d %b, %H:%M UTC";

/// A moment as people write it.
pub fn written(at: Millis, form: &str) -> String {
    let seconds = i64::try_from(at.seconds()).unwrap_or_default();
    jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |it| it.strftime(form).to_string())
}
