//! Pictures as bytes, with the operations that nodes need.
//!
//! Loops over pixels run over plain slices: a dev build does not optimise this crate, and iterator
//! chains would cost ten times as much there. Resizing, blurring and reading happen in `image`,
//! writing in `pictures`, which are optimised in every profile.

use std::io::Cursor;

use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat, RgbImage};

use super::{cut::Cut, mask::Mask};

/// An RGB picture, perhaps with an alpha channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) rgb: Vec<u8>,
    pub(crate) alpha: Option<Vec<u8>>,
}

impl Picture {
    pub(crate) fn plain(width: u32, height: u32, color: [u8; 3]) -> Self {
        Self {
            width,
            height,
            rgb: color.repeat(width as usize * height as usize),
            alpha: None,
        }
    }

    /// A mask as shades of gray.
    pub(crate) fn gray(mask: &Mask) -> Self {
        Self {
            width: mask.width,
            height: mask.height,
            rgb: mask.to_image().into_rgb8().into_raw(),
            alpha: None,
        }
    }

    /// Whether the bytes begin like a picture whose size can be read.
    pub(crate) fn is_picture(bytes: &[u8]) -> bool {
        image::ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .is_ok_and(|reader| reader.into_dimensions().is_ok())
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let image = image::load_from_memory(bytes).ok()?;
        let (width, height) = (image.width(), image.height());
        let alpha = image.color().has_alpha().then(|| {
            let rgba = image.to_rgba8().into_raw();
            let mut alpha = Vec::with_capacity(rgba.len() / 4);
            let mut index = 3;
            while index < rgba.len() {
                alpha.push(rgba[index]);
                index += 4;
            }
            alpha
        });
        Some(Self {
            width,
            height,
            rgb: image.into_rgb8().into_raw(),
            alpha,
        })
    }

    pub(crate) fn to_image(&self) -> DynamicImage {
        match &self.alpha {
            None => rgb_image(self.width, self.height, self.rgb.clone()),
            Some(alpha) => {
                let mut rgba = vec![0; alpha.len() * 4];
                let mut index = 0;
                while index < alpha.len() {
                    rgba[index * 4..index * 4 + 3].copy_from_slice(&self.rgb[index * 3..index * 3 + 3]);
                    rgba[index * 4 + 3] = alpha[index];
                    index += 1;
                }
                let image = image::RgbaImage::from_raw(self.width, self.height, rgba).unwrap_or_default();
                DynamicImage::ImageRgba8(image)
            }
        }
    }

    pub(crate) fn png(&self) -> Vec<u8> {
        encode(&self.to_image(), ImageFormat::Png)
    }

    pub(crate) fn alpha_mask(&self) -> Option<Mask> {
        self.alpha.as_ref().map(|alpha| Mask {
            width: self.width,
            height: self.height,
            data: alpha.clone(),
        })
    }

    pub(crate) fn without_alpha(mut self) -> Self {
        self.alpha = None;
        self
    }

    pub(crate) fn resize(&self, width: u32, height: u32, filter: FilterType) -> Self {
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let rgb = rgb_image(self.width, self.height, self.rgb.clone()).resize_exact(width, height, filter);
        Self {
            width,
            height,
            rgb: rgb.into_rgb8().into_raw(),
            alpha: self.alpha_mask().map(|mask| mask.resize(width, height).data),
        }
    }

    pub(crate) fn crop(&self, cut: Cut) -> Self {
        let rgb = rgb_image(self.width, self.height, self.rgb.clone());
        Self {
            width: cut.width,
            height: cut.height,
            rgb: rgb.crop_imm(cut.x, cut.y, cut.width, cut.height).into_rgb8().into_raw(),
            alpha: self.alpha_mask().map(|mask| mask.crop(cut).data),
        }
    }

    pub(crate) fn blur(&self, sigma: f32) -> Self {
        let blurred = rgb_image(self.width, self.height, self.rgb.clone()).fast_blur(sigma.max(0.3));
        Self {
            rgb: blurred.into_rgb8().into_raw(),
            ..self.clone()
        }
    }

    pub(crate) fn invert(&self) -> Self {
        let mut image = rgb_image(self.width, self.height, self.rgb.clone());
        image.invert();
        Self {
            rgb: image.into_rgb8().into_raw(),
            ..self.clone()
        }
    }

    /// One channel: 0 red, 1 green, 2 blue.
    pub(crate) fn channel(&self, channel: usize) -> Mask {
        let mut data = vec![0; self.rgb.len() / 3];
        let mut index = 0;
        while index < data.len() {
            data[index] = self.rgb[index * 3 + channel];
            index += 1;
        }
        Mask {
            width: self.width,
            height: self.height,
            data,
        }
    }

    /// Puts `over` in the place of this picture, as far as `share` (0 to 256) and the mask go.
    /// Both pictures must have one size, the mask too.
    pub(crate) fn mix(&mut self, over: &Self, share: u32, mask: Option<&Mask>) {
        let mut index = 0;
        let below = self.rgb.as_mut_slice();
        let above = over.rgb.as_slice();
        match mask.map(|mask| mask.data.as_slice()) {
            None => {
                while index < below.len() {
                    let (a, b) = (u32::from(below[index]), u32::from(above[index]));
                    below[index] = ((a * (256 - share) + b * share) >> 8) as u8;
                    index += 1;
                }
            }
            Some(mask) => {
                while index < mask.len() {
                    // 255 must mean all of it.
                    let weight = u32::from(mask[index]);
                    let weight = ((weight + (weight >> 7)) * share) >> 8;
                    if weight > 0 {
                        let mut part = index * 3;
                        while part < index * 3 + 3 {
                            let (a, b) = (u32::from(below[part]), u32::from(above[part]));
                            below[part] = ((a * (256 - weight) + b * weight) >> 8) as u8;
                            part += 1;
                        }
                    }
                    index += 1;
                }
            }
        }
    }

    /// Copies `source` to a place in this picture, which may lie partly outside.
    pub(crate) fn paste(&mut self, source: &Self, mask: Option<&Mask>, x: i64, y: i64) {
        let width = i64::from(self.width);
        let mut row = 0;
        while row < source.height {
            let target_y = y + i64::from(row);
            if (0..i64::from(self.height)).contains(&target_y) {
                let mut column = 0;
                while column < source.width {
                    let target_x = x + i64::from(column);
                    if (0..width).contains(&target_x) {
                        let from = (row * source.width + column) as usize;
                        let to = (target_y * width + target_x) as usize;
                        let weight = mask.map_or(255, |mask| u32::from(mask.data[from]));
                        let mut part = 0;
                        while part < 3 {
                            let (a, b) = (
                                u32::from(self.rgb[to * 3 + part]),
                                u32::from(source.rgb[from * 3 + part]),
                            );
                            self.rgb[to * 3 + part] = ((a * (255 - weight) + b * weight) / 255) as u8;
                            part += 1;
                        }
                    }
                    column += 1;
                }
            }
            row += 1;
        }
    }
}

pub(crate) fn rgb_image(width: u32, height: u32, rgb: Vec<u8>) -> DynamicImage {
    DynamicImage::ImageRgb8(RgbImage::from_raw(width, height, rgb).unwrap_or_default())
}

/// Codes a picture; into memory that cannot fail for the colour types in use here.
pub(crate) fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    pictures::file(image, format).unwrap_or_else(|error| {
        tracing::error!(%error, ?format, "cannot code a picture");
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_survives_png() {
        let mut picture = Picture::plain(3, 2, [10, 20, 30]);
        picture.alpha = Some(vec![0, 50, 100, 150, 200, 255]);
        assert_eq!(Picture::decode(&picture.png()).unwrap(), picture);
        assert!(!Picture::is_picture(b"nonsense"));
    }

    #[test]
    fn a_full_mask_replaces_all() {
        let mut below = Picture::plain(2, 1, [0; 3]);
        let above = Picture::plain(2, 1, [255; 3]);
        let mask = Mask {
            width: 2,
            height: 1,
            data: vec![0, 255],
        };
        below.mix(&above, 256, Some(&mask));
        assert_eq!(below.rgb, [0, 0, 0, 255, 255, 255]);
    }
}
