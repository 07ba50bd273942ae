//! Parts of pictures.

/// A rectangle to cut out, already inside the picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}
