//! Each operation against the numbers of its description.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use pictures::{
    Fill, Filter, Mismatch, clean, composite, crop, expand, fast_png, fill, flatten, hint, invert, match_colours, read,
    remainder, scale, scale_mask, stable, thumbnail, with_alpha,
};
use proptest::prelude::*;

/// White in this rectangle: x, y, width, height.
fn rectangle(width: u32, height: u32, [left, top, columns, lines]: [u32; 4]) -> GrayImage {
    GrayImage::from_fn(width, height, |x, y| {
        let inside = (left..left + columns).contains(&x) && (top..top + lines).contains(&y);
        Luma([if inside { 255 } else { 0 }])
    })
}

fn row(mask: &GrayImage, y: u32) -> Vec<u8> {
    (0..mask.width()).map(|x| mask.get_pixel(x, y).0[0]).collect()
}

fn gray(values: &[u8]) -> GrayImage {
    GrayImage::from_vec(values.len() as u32, 1, values.to_vec()).unwrap()
}

fn pattern(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 7) as u8, (y * 5) as u8, (x * y) as u8]))
}

#[test]
fn cleaning_removes_what_compression_leaves() {
    let sent = RgbImage::from_fn(6, 1, |x, _| Rgb([[0, 12, 13, 242, 243, 255][x as usize], 99, 99]));
    assert_eq!(row(&clean(&sent), 0), [0, 0, 13, 242, 255, 255]);
}

#[test]
fn expansion_grows_by_a_square_whatever_is_selected() {
    let mut mask = rectangle(40, 30, [10, 8, 5, 4]);
    mask.put_pixel(10, 8, Luma([1]));
    assert_eq!(expand(&mask, 3, 0), rectangle(40, 30, [7, 5, 11, 10]));
    assert_eq!(expand(&mask, 0, 0), mask);
    assert_eq!(expand(&mask, 499, 499), rectangle(40, 30, [0, 0, 40, 30]));
    assert_eq!(expand(&GrayImage::new(5, 5), 499, 499), GrayImage::new(5, 5));
}

#[test]
fn feathering_is_a_triangle() {
    // Width 5: weights 1 2 3 2 1 over 9.
    let mut mask = GrayImage::new(9, 9);
    mask.put_pixel(4, 4, Luma([255]));
    let soft = expand(&mask, 0, 4);
    assert_eq!(row(&soft, 4), [0, 0, 9, 19, 28, 19, 9, 0, 0]);
    assert_eq!(row(&soft, 2), [0, 0, 3, 6, 9, 6, 3, 0, 0]);
    // An edge is a mirror, so a white picture stays white.
    assert_eq!(
        expand(&rectangle(7, 7, [0, 0, 7, 7]), 0, 32),
        rectangle(7, 7, [0, 0, 7, 7])
    );
}

#[test]
fn the_selection_stays_whole_with_the_plugins_growth() {
    // grow = feather / 2 + 4, as the plugin chooses it.
    let selection = [60, 60, 50, 40];
    for feather in [8, 32, 56, 100] {
        let soft = expand(&rectangle(200, 200, selection), feather / 2 + 4, feather);
        let inside = crop(&soft, selection).unwrap();
        assert!(inside.iter().all(|value| *value == 255), "{feather}");
        assert!(soft.iter().any(|value| (1..255).contains(value)));
    }
}

#[test]
fn almost_full_strength_is_full() {
    assert_eq!(
        row(&stable(&gray(&[0, 252, 253, 254, 255])), 0),
        [0, 252, 255, 255, 255]
    );
}

#[test]
fn alpha_is_smaller_by_half_and_soft() {
    // The worked example: erode by 12, blur by 25; the middle of the ramp lies 12 pixels within.
    let mask = rectangle(200, 200, [50, 50, 100, 100]);
    let alpha = composite(&mask, 25);
    let middle = row(&alpha, 100);
    assert_eq!((middle[49], middle[74], middle[100], middle[150]), (0, 255, 255, 0));
    assert!(middle[50..75].is_sorted());
    assert!((96..=136).contains(&middle[62]), "{middle:?}");
    assert_eq!(composite(&mask, 0), mask);
    // Outside of the picture counts as selected.
    let whole = rectangle(30, 30, [0, 0, 30, 30]);
    assert_eq!(composite(&whole, 25), whole);
    assert_eq!(row(&composite(&gray(&[0, 1, 200]), 0), 0), [0, 255, 255]);
}

#[test]
fn the_background_is_what_is_left() {
    let rest = remainder(&gray(&[0, 100, 255, 200]), &[&gray(&[0, 100, 0, 100])]).unwrap();
    assert_eq!(row(&rest, 0), [255, 55, 0, 0]);
    assert!(remainder(&gray(&[0]), &[&gray(&[0, 0])]).is_err());
}

#[test]
fn masks_scale_between_the_middles_of_pixels() {
    assert_eq!(row(&scale_mask(&gray(&[0, 255]), 4, 1), 0), [0, 64, 191, 255]);
    assert_eq!(row(&scale_mask(&gray(&[0, 100, 200, 40]), 2, 1), 0), [50, 120]);
    let white = rectangle(33, 17, [0, 0, 33, 17]);
    assert_eq!(scale_mask(&white, 512, 528), rectangle(512, 528, [0, 0, 512, 528]));
}

#[test]
fn fills_stay_within_the_selection() {
    let picture = pattern(120, 100);
    let mask = rectangle(120, 100, [30, 20, 60, 50]);
    for how in [Fill::Neutral, Fill::Replace, Fill::Blur, Fill::Border, Fill::Green] {
        let filled = fill(&picture, &mask, how).unwrap();
        for ((before, after), selected) in picture.pixels().zip(filled.pixels()).zip(mask.iter()) {
            assert!(*selected > 0 || before == after, "{how:?}");
        }
        assert!(filled != picture);
        assert_eq!(fill(&picture, &GrayImage::new(120, 100), how).unwrap(), picture);
        assert_eq!(
            fill(&picture, &GrayImage::new(100, 120), how),
            Err(Mismatch(100, 120, 120, 100))
        );
        // Full of selection, nothing is known; that must not end in a panic.
        fill(&picture, &rectangle(120, 100, [0, 0, 120, 100]), how).unwrap();
    }
}

#[test]
fn fills_hold_what_they_promise() {
    let picture = RgbImage::from_pixel(120, 100, Rgb([200, 10, 60]));
    let mask = rectangle(120, 100, [30, 20, 60, 50]);
    let at = |how, x, y| fill(&picture, &mask, how).unwrap().get_pixel(x, y).0;
    assert_eq!(at(Fill::Replace, 30, 20), [128; 3]);
    assert_eq!(at(Fill::Green, 89, 69), [0, 255, 0]);
    // Soft over nine pixels.
    assert_eq!(at(Fill::Neutral, 39, 40), [128; 3]);
    let rim: Vec<_> = (30..40).map(|x| at(Fill::Neutral, x, 40)[0]).collect();
    assert!(rim[0] > 190 && rim.is_sorted_by(|a, b| a >= b), "{rim:?}");
    // What is of one colour stays so, inside too.
    for how in [Fill::Blur, Fill::Border] {
        for (x, y) in [(30, 20), (60, 45), (89, 69)] {
            let colour = at(how, x, y);
            assert!(
                colour.iter().zip([200, 10, 60]).all(|(is, was)| is.abs_diff(was) <= 1),
                "{colour:?}"
            );
        }
    }
}

#[test]
fn a_border_is_continued_from_each_side() {
    let picture = RgbImage::from_fn(
        200,
        100,
        |x, _| if x < 100 { Rgb([250, 0, 0]) } else { Rgb([0, 0, 250]) },
    );
    let filled = fill(&picture, &rectangle(200, 100, [40, 0, 120, 100]), Fill::Border).unwrap();
    let (left, right) = (filled.get_pixel(42, 50).0, filled.get_pixel(157, 50).0);
    assert!(left[0] > 200 && left[2] < 50, "{left:?}");
    assert!(right[2] > 200 && right[0] < 50, "{right:?}");
    // Nothing of what was selected shows.
    let hidden = RgbImage::from_fn(200, 100, |x, _| {
        if (40..160).contains(&x) {
            Rgb([0, 255, 0])
        } else {
            Rgb([9; 3])
        }
    });
    let filled = fill(&hidden, &rectangle(200, 100, [40, 0, 120, 100]), Fill::Border).unwrap();
    assert!(filled.pixels().all(|pixel| pixel.0[1] <= 10));
}

#[test]
fn hints_are_black_where_a_half_is_selected() {
    let picture = RgbImage::from_pixel(4, 1, Rgb([9; 3]));
    let hinted = hint(&picture, &gray(&[0, 127, 128, 255])).unwrap();
    assert_eq!(hinted.into_raw(), [9, 9, 9, 9, 9, 9, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn pixels_are_joined_cut_and_turned() {
    let picture = pattern(20, 10);
    let mask = rectangle(20, 10, [2, 2, 3, 3]);
    let joined = with_alpha(&picture, &mask).unwrap();
    assert_eq!(joined.get_pixel(3, 3).0, [21, 15, 9, 255]);
    assert_eq!(joined.get_pixel(0, 0).0[3], 0);
    assert_eq!(crop(&picture, [3, 4, 2, 5]).unwrap().get_pixel(0, 0).0, [21, 20, 12]);
    assert_eq!(crop(&picture, [3, 4, 18, 5]), Err(Mismatch(21, 9, 20, 10)));
    assert!(crop(&picture, [u32::MAX, 4, 18, 5]).is_err());
    assert_eq!(invert(&invert(&picture)), picture);
    assert_eq!(scale(&picture, 20, 10, Filter::Lanczos), picture);
    assert_eq!(
        scale(&picture, 40, 20, Filter::Nearest).get_pixel(39, 19),
        picture.get_pixel(19, 9)
    );
    let clear = RgbaImage::from_pixel(1, 1, image::Rgba([255, 0, 0, 128]));
    assert_eq!(flatten(&clear, [0, 0, 255]).into_raw(), [128, 0, 127]);
}

#[test]
fn lanczos_is_what_others_call_it() {
    let picture = RgbImage::from_fn(50, 40, |x, y| {
        Rgb([(x * 5) as u8, (y * 6) as u8, ((x / 9 + y / 7) % 2 * 200) as u8])
    });
    for (width, height) in [(100, 80), (25, 33), (1, 1), (51, 40)] {
        let ours = scale(&picture, width, height, Filter::Lanczos);
        let theirs = image::imageops::resize(&picture, width, height, image::imageops::FilterType::Lanczos3);
        let off = ours
            .iter()
            .zip(theirs.iter())
            .map(|(a, b)| a.abs_diff(*b))
            .max()
            .unwrap();
        assert!(off <= 1, "{width}x{height}: {off}");
    }
}

#[test]
fn colours_take_the_references_mean_and_deviation() {
    let reference = RgbImage::from_fn(64, 64, |x, y| {
        Rgb([(60 + x) as u8, (90 + y) as u8, (100 + (x ^ y)) as u8])
    });
    let tinted = RgbImage::from_fn(64, 64, |x, y| {
        let [red, green, blue] = reference.get_pixel(x, y).0;
        Rgb([red / 2 + 60, green / 2 + 40, blue / 2 + 20])
    });
    let nothing = GrayImage::new(64, 64);
    let matched = match_colours(&tinted, &reference, &nothing, 1.0).unwrap();
    let mean = |picture: &RgbImage| {
        [0, 1, 2].map(|channel| picture.pixels().map(|pixel| f64::from(pixel.0[channel])).sum::<f64>() / 4096.0)
    };
    for (is, wanted) in mean(&matched).into_iter().zip(mean(&reference)) {
        assert!((is - wanted).abs() < 3.0, "{is} {wanted}");
    }
    // A picture that matches already stays as it is, whatever the strength.
    for strength in [0.0, 0.5, 1.0] {
        let same = match_colours(&reference, &reference, &nothing, strength).unwrap();
        assert!(same.iter().zip(reference.iter()).all(|(a, b)| a.abs_diff(*b) <= 1));
    }
    assert_eq!(match_colours(&tinted, &reference, &nothing, 0.0).unwrap(), tinted);
    // What is selected is no evidence.
    let all = rectangle(64, 64, [0, 0, 64, 64]);
    let unmoved = match_colours(&tinted, &reference, &all, 1.0).unwrap();
    assert!(unmoved.iter().zip(tinted.iter()).all(|(a, b)| a.abs_diff(*b) <= 1));
}

#[test]
fn every_colour_survives_lab() {
    let all = RgbImage::from_fn(256, 256, |x, y| Rgb([x as u8, y as u8, (x * 3 + y) as u8]));
    let same = match_colours(&all, &all, &GrayImage::new(256, 256), 1.0).unwrap();
    let off = all.iter().zip(same.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(off <= 1, "{off}");
}

/// Dilation as its definition says it.
fn slow_dilation(mask: &GrayImage, grow: u32) -> GrayImage {
    GrayImage::from_fn(mask.width(), mask.height(), |x, y| {
        let hit = mask
            .enumerate_pixels()
            .any(|(u, v, pixel)| pixel.0[0] > 0 && x.abs_diff(u) <= grow && y.abs_diff(v) <= grow);
        Luma([if hit { 255 } else { 0 }])
    })
}

/// A triangular blur as its definition says it.
fn slow_triangle(mask: &GrayImage, width: u32) -> GrayImage {
    let radius = i64::from(width / 2);
    let mirror = |place: i64, length: u32| {
        let period = (2 * (i64::from(length) - 1)).max(1);
        let folded = place.rem_euclid(period);
        folded.min(period - folded).min(i64::from(length) - 1) as u32
    };
    let area = ((radius + 1) * (radius + 1)) as f64;
    GrayImage::from_fn(mask.width(), mask.height(), |x, y| {
        let mut sum = 0.0;
        for v in -radius..=radius {
            for u in -radius..=radius {
                let at = (
                    mirror(i64::from(x) + u, mask.width()),
                    mirror(i64::from(y) + v, mask.height()),
                );
                let weight = (radius + 1 - u.abs()) * (radius + 1 - v.abs());
                sum += weight as f64 * f64::from(mask.get_pixel(at.0, at.1).0[0]);
            }
        }
        Luma([(sum / area / area).round() as u8])
    })
}

fn any_mask() -> impl Strategy<Value = GrayImage> {
    (1_u32..14, 1_u32..14).prop_flat_map(|(width, height)| {
        let value = prop_oneof![3 => Just(0_u8), 1 => Just(255_u8), 1 => any::<u8>()];
        prop::collection::vec(value, (width * height) as usize)
            .prop_map(move |values| GrayImage::from_vec(width, height, values).unwrap())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fast_is_the_same_as_slow(mask in any_mask(), grow in 1_u32..8, feather in 0_u32..20) {
        let grown = slow_dilation(&mask, grow);
        prop_assert_eq!(&expand(&mask, grow, 0), &grown);
        let (fast, slow) = (expand(&mask, grow, feather), slow_triangle(&grown, feather));
        prop_assert!(fast.iter().zip(slow.iter()).all(|(a, b)| a.abs_diff(*b) <= 1), "{:?} {:?}", fast, slow);
    }

    #[test]
    fn any_size_and_setting_is_taken(mask in any_mask(), grow in 0_u32..500, blend in 0_u32..500, side in 1_u32..40) {
        let (width, height) = mask.dimensions();
        let picture = pattern(width, height);
        prop_assert_eq!(expand(&mask, grow, blend).dimensions(), (width, height));
        prop_assert_eq!(composite(&mask, blend).dimensions(), (width, height));
        prop_assert_eq!(scale_mask(&mask, side, grow + 1).dimensions(), (side, grow + 1));
        for how in [Fill::Neutral, Fill::Replace, Fill::Blur, Fill::Border, Fill::Green] {
            fill(&picture, &mask, how).unwrap();
        }
        match_colours(&picture, &invert(&picture), &mask, 0.7).unwrap();
    }
}

#[test]
fn a_webp_keeps_alpha_exactly_and_colours_nearly() {
    let picture = RgbaImage::from_fn(64, 48, |x, y| Rgba([(x * 4) as u8, (y * 5) as u8, 90, (x * 4) as u8]));
    let coded = pictures::webp(&picture, 64, 48, true).unwrap();
    let decoded = image::load_from_memory_with_format(&coded, image::ImageFormat::WebP).unwrap();
    let decoded = decoded.as_rgba8().unwrap();
    for (sent, got) in picture.pixels().zip(decoded.pixels()) {
        assert_eq!(sent.0[3], got.0[3]);
        // What is transparent may have any colour.
        let near = (0..3).all(|place| sent.0[place].abs_diff(got.0[place]) < 24);
        assert!(near || sent.0[3] < 8, "{sent:?} {got:?}");
    }
    assert_eq!(pictures::webp(&picture, 64, 47, true), None);
    assert_eq!(pictures::webp(&picture, 64, 48, false), None);
    assert_eq!(pictures::webp(&[], 0, 9, false), None);
    assert_eq!(pictures::webp(&vec![0; 3 * 16_384], 16_384, 1, false), None);
}

#[test]
fn what_is_no_picture_is_an_error() {
    let colour = image::ExtendedColorType::Rgb8;
    assert!(fast_png(&[7; 12], 2, 2, colour).is_ok());
    for (bytes, width, height) in [(11, 2, 2), (12, 2, 3), (0, u32::MAX, u32::MAX)] {
        assert!(fast_png(&vec![7; bytes], width, height, colour).is_err());
    }
    let file = fast_png(&[7; 12], 2, 2, colour).unwrap();
    let narrow = || {
        let mut limits = image::Limits::default();
        limits.max_image_width = Some(1);
        limits
    };
    let png = image::ImageFormat::Png;
    assert!(read(&file, png, image::Limits::default()).is_ok());
    assert!(read(&file, png, narrow()).is_err());
    assert!(read(&file[..30], png, image::Limits::default()).is_err());
}

#[test]
fn a_thumbnail_averages() {
    let values = [0, 10, 200, 201];
    let picture = RgbImage::from_fn(32, 16, |x, y| Rgb([values[x as usize % 4], (y % 2 * 20) as u8, 7]));
    let small = thumbnail(&picture.clone().into(), 16).into_rgb8();
    let wanted = RgbImage::from_fn(16, 8, |x, _| Rgb([[5, 201][x as usize % 2], 10, 7]));
    assert_eq!(small, wanted, "rounded");
    let clear = RgbaImage::from_fn(16, 16, |x, _| Rgba([80, 80, 80, (x % 2 * 100) as u8]));
    let small = thumbnail(&clear.into(), 8).into_rgba8();
    assert!(small.dimensions() == (8, 8) && small.pixels().all(|it| it.0 == [80, 80, 80, 50]));
    assert_eq!(thumbnail(&picture.clone().into(), 32).into_rgb8(), picture);
}

proptest! {
    #[test]
    fn a_thumbnail_keeps_shape_and_colours(
        width in 1_u32..400, height in 1_u32..400, side in 1_u32..300, alpha: bool, gray: bool,
    ) {
        let picture = DynamicImage::from(pattern(width, height));
        let picture = match (alpha, gray) {
            (false, false) => picture,
            (true, false) => picture.into_rgba8().into(),
            (_, true) => picture.into_luma8().into(),
        };
        let small = thumbnail(&picture, side);
        prop_assert_eq!(small.color(), picture.color());
        let (longest, most) = (small.width().max(small.height()), width.max(height));
        prop_assert_eq!(longest, most.min(side));
        let shorter = f64::from(small.width().min(small.height()));
        let wanted = f64::from(width.min(height)) * f64::from(longest) / f64::from(most);
        prop_assert!((shorter - wanted).abs() < 1.5 + wanted / 8.0, "{} for {}", shorter, wanted);
        let plain = DynamicImage::from(RgbImage::from_pixel(width, height, Rgb([90, 120, 60])));
        let small = thumbnail(&plain, side).into_rgb8();
        prop_assert!(small.pixels().all(|it| *it == Rgb([90, 120, 60])));
    }
}
