//! What a key means that was left out, and whether a value is worth sending.

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A default that is not the type's own, and its test, as serde wants them.
macro_rules! defaults {
    ($($default:ident, $is_default:ident: $type:ty = $value:expr;)*) => {$(
        pub(super) fn $default() -> $type {
            $value
        }

        #[allow(clippy::float_cmp, clippy::trivially_copy_pass_by_ref, reason = "a default is exact; serde passes references")]
        pub(super) fn $is_default(value: &$type) -> bool {
            *value == $value
        }
    )*};
}

defaults! {
    one, is_one: i64 = 1;
    automatic, is_automatic: i64 = -1;
    full, is_full: f64 = 1.0;
    rescale_cfg, is_rescale_cfg: f64 = 0.7;
    whole, is_whole: [f64; 2] = [0.0, 1.0];
}
