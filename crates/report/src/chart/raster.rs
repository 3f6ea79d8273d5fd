//! SVG as PNG. The font is in the program, so that the picture is the same on every machine.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

/// `svg`, fitted into `width` by `height` pixels.
pub(super) fn png(svg: &str, width: u32, height: u32) -> Result<Vec<u8>, String> {
    let mut options = Options::default();
    let fonts = options.fontdb_mut();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    options.font_family = "DejaVu Sans".to_owned();
    let tree = Tree::from_str(svg, &options).map_err(|error| error.to_string())?;
    let mut pixels =
        Pixmap::new(width, height).ok_or_else(|| format!("{width} x {height} is no size of an image"))?;
    let (scale_x, scale_y) = (width as f32 / tree.size().width(), height as f32 / tree.size().height());
    resvg::render(&tree, Transform::from_scale(scale_x, scale_y), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| error.to_string())
}
