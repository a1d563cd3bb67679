//! Columns under construction: vectors that can be cut back, which Arrow's own builders cannot.
//!
//! A column always holds as many values as were appended to it; a nested value that turns out not
//! to fit is taken back by [`Column::truncate`], so that siblings stay aligned.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, FixedSizeBinaryArray, GenericByteArray, PrimitiveArray,
    types::{
        ArrowPrimitiveType, ByteArrayType, Date32Type, Decimal128Type, Float32Type, Float64Type,
        Int32Type, Int64Type, LargeBinaryType, Time64MicrosecondType, TimestampMicrosecondType,
        Utf8Type,
    },
};
use arrow_buffer::{
    ArrowNativeType, BooleanBufferBuilder, Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer,
    ScalarBuffer,
};
use arrow_schema::DataType;

use super::{
    Coerced, Misfit,
    nested::{ListColumn, MapColumn, StructColumn},
};

/// A column of one of Iceberg's types.
#[derive(Debug)]
pub(crate) enum Column {
    Boolean(Booleans),
    Int(Primitive<Int32Type>),
    Long(Primitive<Int64Type>),
    Float(Primitive<Float32Type>),
    Double(Primitive<Float64Type>),
    Decimal(Primitive<Decimal128Type>, u8, i8),
    Date(Primitive<Date32Type>),
    Time(Primitive<Time64MicrosecondType>),
    /// With whether it is a `timestamptz`.
    Timestamp(Primitive<TimestampMicrosecondType>, bool),
    String(Bytes<Utf8Type>),
    Binary(Bytes<LargeBinaryType>),
    Uuid(Fixed),
    Fixed(Fixed),
    Struct(Box<StructColumn>),
    List(Box<ListColumn>),
    Map(Box<MapColumn>),
}

#[derive(Debug)]
pub(crate) struct Booleans {
    values: BooleanBufferBuilder,
    nulls: NullBufferBuilder,
}

#[derive(Debug)]
pub(crate) struct Primitive<T: ArrowPrimitiveType> {
    data_type: DataType,
    values: Vec<T::Native>,
    nulls: NullBufferBuilder,
}

/// Strings or bytes of any length.
pub(crate) struct Bytes<T: ByteArrayType> {
    pub(crate) values: Vec<u8>,
    offsets: Vec<T::Offset>,
    nulls: NullBufferBuilder,
}

impl<T: ByteArrayType> std::fmt::Debug for Bytes<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bytes").finish_non_exhaustive()
    }
}

/// Bytes of one length.
#[derive(Debug)]
pub(crate) struct Fixed {
    pub(crate) size: usize,
    pub(crate) values: Vec<u8>,
    nulls: NullBufferBuilder,
}

/// Where the elements of lists, or the entries of maps, end.
#[derive(Debug)]
pub(crate) struct Spans {
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

/// Takes a vector out and leaves an empty one with room for as much: the next block is about as large,
/// and growing step by step would copy it several times over.
fn fresh<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = values.len() + values.len() / 8;
    std::mem::replace(values, Vec::with_capacity(room))
}

impl Booleans {
    pub(crate) fn new() -> Self {
        Self {
            values: BooleanBufferBuilder::new(0),
            nulls: NullBufferBuilder::new(0),
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, value: Option<bool>) {
        self.values.append(value.unwrap_or(false));
        self.nulls.append(value.is_some());
    }

    /// Appends a value; true.
    #[inline]
    pub(crate) fn push_value(&mut self, value: bool) -> bool {
        self.values.append(value);
        self.nulls.append_non_null();
        true
    }

    /// As [`Primitive::push_coerced`].
    pub(crate) fn push_coerced(&mut self, value: Coerced<bool>) -> Result<bool, Misfit> {
        self.push(value.ok().flatten());
        value.map(|value| value.is_some())
    }

    pub(crate) fn len(&self) -> usize {
        self.nulls.len()
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        self.values.truncate(length);
        self.nulls.truncate(length);
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        Arc::new(BooleanArray::new(self.values.finish(), self.nulls.finish()))
    }
}

impl<T: ArrowPrimitiveType> Primitive<T> {
    pub(crate) fn new(data_type: DataType) -> Self {
        Self {
            data_type,
            values: Vec::new(),
            nulls: NullBufferBuilder::new(0),
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, value: Option<T::Native>) {
        self.values.push(value.unwrap_or_default());
        self.nulls.append(value.is_some());
    }

    /// Appends a value; true.
    #[inline]
    pub(crate) fn push_value(&mut self, value: T::Native) -> bool {
        self.values.push(value);
        self.nulls.append_non_null();
        true
    }

    /// Appends what a coercion gave, and says whether it is a value: null for a misfit, which is handed on.
    #[inline]
    pub(crate) fn push_coerced(&mut self, value: Coerced<T::Native>) -> Result<bool, Misfit> {
        match value {
            Ok(value) => {
                self.push(value);
                Ok(value.is_some())
            }
            Err(misfit) => {
                self.push(None);
                Err(misfit)
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.nulls.len()
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        self.values.truncate(length);
        self.nulls.truncate(length);
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        let values = ScalarBuffer::from(fresh(&mut self.values));
        let array = PrimitiveArray::<T>::new(values, self.nulls.finish());
        Arc::new(array.with_data_type(self.data_type.clone()))
    }
}

impl<T: ByteArrayType> Bytes<T> {
    pub(crate) fn new() -> Self {
        Self {
            values: Vec::new(),
            offsets: vec![T::Offset::usize_as(0)],
            nulls: NullBufferBuilder::new(0),
        }
    }

    /// Appends one value.
    #[inline]
    pub(crate) fn push(&mut self, value: &[u8]) -> Result<(), Misfit> {
        self.values.extend_from_slice(value);
        self.end(true)
    }

    /// Appends the first `length` bytes; true unless no offset reaches so far.
    #[inline]
    pub(crate) fn push_short(&mut self, rest: &[u8], length: usize) -> bool {
        // Copying a fixed number of bytes, and cutting back what is too much, spares a call.
        match rest.first_chunk::<32>() {
            Some(bytes) if length <= 32 => {
                let end = self.values.len() + length;
                self.values.extend_from_slice(bytes);
                self.values.truncate(end);
            }
            _ => self.values.extend_from_slice(&rest[..length]),
        }
        self.end(true).is_ok()
    }

    pub(crate) fn push_null(&mut self) {
        // The offset is one that was pushed before, so it fits.
        let _ = self.end(false);
    }

    /// Ends a value whose bytes were appended to `values`; what no offset can reach is taken back.
    #[inline]
    pub(crate) fn end(&mut self, valid: bool) -> Result<(), Misfit> {
        let Some(offset) = T::Offset::from_usize(self.values.len()) else {
            let last = self.offsets.last().map_or(0, |offset| offset.as_usize());
            self.values.truncate(last);
            self.push_null();
            return Err(Misfit::TooLong);
        };
        self.offsets.push(offset);
        self.nulls.append(valid);
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.nulls.len()
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        self.offsets.truncate(length + 1);
        self.nulls.truncate(length);
        let last = self.offsets.last().map_or(0, |offset| offset.as_usize());
        self.values.truncate(last);
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        let offsets = fresh(&mut self.offsets);
        self.offsets.push(T::Offset::usize_as(0));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let values = Buffer::from_vec(fresh(&mut self.values));
        // Checks once more, over the whole buffer, that strings are UTF-8: they come of checked records.
        Arc::new(GenericByteArray::<T>::new(
            offsets,
            values,
            self.nulls.finish(),
        ))
    }
}

impl Fixed {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            size,
            values: Vec::new(),
            nulls: NullBufferBuilder::new(0),
        }
    }

    pub(crate) fn push(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => self.values.extend_from_slice(value),
            None => self.values.resize(self.values.len() + self.size, 0),
        }
        self.nulls.append(value.is_some());
    }

    /// Ends a value whose bytes were appended to `values`.
    pub(crate) fn end(&mut self) {
        self.nulls.append_non_null();
    }

    pub(crate) fn len(&self) -> usize {
        self.nulls.len()
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        self.values.truncate(length * self.size);
        self.nulls.truncate(length);
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        let values = Buffer::from_vec(fresh(&mut self.values));
        Arc::new(FixedSizeBinaryArray::new(
            self.size as i32,
            values,
            self.nulls.finish(),
        ))
    }
}

impl Spans {
    pub(crate) fn new() -> Self {
        Self {
            offsets: vec![0],
            nulls: NullBufferBuilder::new(0),
        }
    }

    /// Ends a list at `end` elements in all. A batch has fewer than 2^31 of them: each took a byte of its block.
    pub(crate) fn push(&mut self, end: usize, valid: bool) {
        self.offsets.push(end as i32);
        self.nulls.append(valid);
    }

    pub(crate) fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Cuts back to `length` lists, and says how many elements these have.
    pub(crate) fn truncate(&mut self, length: usize) -> usize {
        self.offsets.truncate(length + 1);
        self.nulls.truncate(length);
        self.offsets.last().map_or(0, |offset| *offset as usize)
    }

    pub(crate) fn finish(&mut self) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
        let offsets = fresh(&mut self.offsets);
        self.offsets.push(0);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        (offsets, self.nulls.finish())
    }
}
