//! Batches out of a data set on the device, and out of each other. The formulas are in `sources/batches.cu`.

use super::arguments::launch;
use super::{Buffer, Context, Result};

/// How images are padded, cut and mirrored; keys are those of the streams that positions and flips are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Pixels on each side.
    pub padding: usize,
    /// What they are.
    pub outside: Outside,
    /// Key of the streams of positions.
    pub crop: [u32; 2],
    /// Key of the streams of flips; none where nothing is mirrored.
    pub flip: Option<[u32; 2]>,
}

/// What stands outside an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// Black.
    Zeros,
    /// The image, mirrored at its outermost pixels.
    Reflected,
}

/// Images u8 of one shape.
#[derive(Debug)]
pub struct Images {
    /// `[n, c, h, w]`.
    pub values: Buffer<u8>,
    /// `[c, h, w]`.
    pub shape: [usize; 3],
}

impl Images {
    /// The images of `ids` `[n, 2]` (index, occurrence), f32 in `[0, 1]` `[n, c, h, w]`, cut and mirrored. `count` is
    /// how many there are to choose from: every index must be below it.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If an index is too large.
    pub fn batch(&self, context: &Context, ids: &[u32], cut: &Cut) -> Result<(Buffer<f32>, Buffer<u32>)> {
        let [channels, height, width] = self.shape;
        let (rows, length) = (ids.len() / 2, channels * height * width);
        let known = self.values.len() / length;
        assert!(
            ids.chunks(2).all(|id| (id[0] as usize) < known),
            "an image beyond the {known} of the data set"
        );
        let ids = context.upload(ids)?;
        let windows = context.buffer::<i32>(3 * rows)?;
        let flip = cut.flip.unwrap_or_default();
        let to = context.buffer::<f32>(rows * length)?;
        let count = to.len();
        // SAFETY: lengths follow from the number of ids, which were checked.
        unsafe {
            launch!(context, "draw_windows", rows;
                &ids, cut.crop[0], cut.crop[1], flip[0], flip[1], cut.padding as i32,
                i32::from(cut.flip.is_some()), rows as i64, &windows)?;
            launch!(context, "gather_images", count;
                &self.values, &ids, &windows, cut.padding as i32, i32::from(cut.outside == Outside::Reflected),
                channels as i32, height as i32, width as i32, count as i64, &to)?;
        }
        Ok((to, ids))
    }
}

/// Rows of a batch, on the device.
#[derive(Debug)]
pub struct Rows {
    places: Buffer<u32>,
    /// All of them are below it.
    limit: usize,
}

impl Rows {
    /// `rows`, on the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(context: &Context, rows: &[u32]) -> Result<Self> {
        let limit = rows.iter().max().map_or(0, |&row| row as usize + 1);
        Ok(Self { places: context.upload(rows)?, limit })
    }

    /// The images of `from` `[., length]` there.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If a row is too large.
    pub fn gather(&self, context: &Context, from: &Buffer<f32>, length: usize) -> Result<Buffer<f32>> {
        assert!(self.limit * length <= from.len(), "a row beyond the {} of the batch", from.len() / length);
        let to = context.buffer::<f32>(self.places.len() * length)?;
        // SAFETY: rows were checked.
        unsafe {
            launch!(context, "gather_rows", to.len(); from, &self.places, length as i32, to.len() as i64, &to)
        }?;
        Ok(to)
    }

    /// Writes the images of `from` to the first of these places of `to` `[., length]`, which are distinct.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If a row is too large, or there are more images than rows.
    pub fn scatter(
        &self,
        context: &Context,
        from: &Buffer<f32>,
        length: usize,
        to: &Buffer<f32>,
    ) -> Result<()> {
        let count = from.len();
        assert!(count <= self.places.len() * length, "images of {} rows", self.places.len());
        assert!(self.limit * length <= to.len(), "a row beyond the {} of the batch", to.len() / length);
        // SAFETY: rows were checked.
        unsafe {
            launch!(context, "scatter_rows", count;
                from, &self.places, length as i32, count as i64, to)
        }
    }
}

/// Adds the first `count` images of `from` `[., length]` to those of `to` at `rows`, the first `count` of which are
/// distinct; without `rows` in their order.
///
/// # Errors
/// If the device fails.
///
/// # Panics
/// If there are fewer images, or a row is too large.
pub fn add_rows(
    context: &Context,
    from: &Buffer<f32>,
    rows: Option<&Rows>,
    (count, length): (usize, usize),
    to: &Buffer<f32>,
) -> Result<()> {
    let limit = rows.map_or(count, |rows| rows.limit);
    assert!(count * length <= from.len() && limit * length <= to.len(), "{count} rows of {length}");
    assert!(rows.is_none_or(|rows| count <= rows.places.len()), "{count} rows");
    let values = count * length;
    // SAFETY: rows were checked.
    unsafe {
        launch!(context, "add_rows", values;
            from, rows.map(|rows| &rows.places), length as i32, values as i64, to)
    }
}
