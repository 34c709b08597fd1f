//! Record batches across the border, without a copy: the Arrow PyCapsule interface.
//!
//! <https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html>

use std::ffi::CStr;

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use arrow_array::{Array, RecordBatch, StructArray};
use arrow_schema::DataType;
use pixr::Error;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};

use crate::errors::to_python;

const SCHEMA: &CStr = c"arrow_schema";
const ARRAY: &CStr = c"arrow_array";

fn invalid(detail: String) -> PyErr {
    to_python(&Error::InvalidBatch { detail })
}

/// Takes the record batch out of any object that speaks the interface (pyarrow, polars, arro3, …).
pub(crate) fn import(object: &Bound<'_, PyAny>) -> PyResult<RecordBatch> {
    let capsules = object
        .call_method0("__arrow_c_array__")
        .map_err(|_| invalid(format!("{} is not an Arrow record batch", object.get_type())))?;
    let (schema, array): (Bound<'_, PyCapsule>, Bound<'_, PyCapsule>) = capsules.extract()?;
    let schema = schema.pointer_checked(Some(SCHEMA))?.cast::<FFI_ArrowSchema>();
    let array = array.pointer_checked(Some(ARRAY))?.cast::<FFI_ArrowArray>();
    #[expect(unsafe_code, reason = "the C data interface hands over pointers")]
    // SAFETY: the capsules' names say what they point to, and the capsules are alive until the end of this function.
    // `from_raw` moves the array out and leaves a released one behind, as the interface asks of a consumer.
    let data = unsafe { from_ffi(FFI_ArrowArray::from_raw(array.as_ptr()), schema.as_ref()) }
        .map_err(|error| invalid(error.to_string()))?;
    if !matches!(data.data_type(), DataType::Struct(_)) {
        return Err(invalid(format!("expected a record batch, got an array of {}", data.data_type())));
    }
    // Producers check neither that a string is UTF-8 nor that offsets lie within the data; all below takes both for
    // granted, and what was once in the log would be read again.
    data.validate_full().map_err(|error| invalid(error.to_string()))?;
    let rows = StructArray::from(data);
    if rows.null_count() > 0 {
        return Err(invalid("a whole row is null".to_owned()));
    }
    Ok(RecordBatch::from(rows))
}

/// A record batch that pyarrow and others read without a copy: `pyarrow.record_batch(batch)`.
#[pyclass(frozen, module = "pixr._engine")]
pub(crate) struct Batch(pub(crate) RecordBatch);

#[pymethods]
impl Batch {
    /// The Arrow PyCapsule interface.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        // The interface lets a producer ignore the wish for another schema.
        let _ = requested_schema;
        let data = StructArray::from(self.0.clone()).to_data();
        let schema = FFI_ArrowSchema::try_from(self.0.schema_ref().as_ref())
            .map_err(|error| to_python(&Error::Internal { detail: error.to_string() }))?;
        let schema = PyCapsule::new_with_value(py, schema, SCHEMA)?;
        let array = PyCapsule::new_with_value(py, FFI_ArrowArray::new(&data), ARRAY)?;
        PyTuple::new(py, [schema, array])
    }

    fn __len__(&self) -> usize {
        self.0.num_rows()
    }
}
