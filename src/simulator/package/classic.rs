//! Classic netCDF files (version 2, 64 bit offsets), written byte by byte: the format is small, and its attributes
//! keep the types that producers give them.

/// A file to be written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Classic {
    pub(crate) dimensions: Vec<(String, u32)>,
    pub(crate) attributes: Vec<(String, Values)>,
    pub(crate) variables: Vec<Variable>,
}

/// A variable: its dimensions by number, the slowest first.
#[derive(Debug, Clone)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) dimensions: Vec<usize>,
    pub(crate) attributes: Vec<(String, Values)>,
    pub(crate) values: Values,
}

/// Values of a variable or an attribute.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    /// Signed; `_Unsigned = "true"` makes them unsigned.
    Bytes(Vec<i8>),
    Text(String),
    #[cfg_attr(not(test), expect(dead_code, reason = "no generated product has them"))]
    Shorts(Vec<i16>),
    Ints(Vec<i32>),
    Floats(Vec<f32>),
    Doubles(Vec<f64>),
}

const DIMENSIONS: u32 = 10;
const VARIABLES: u32 = 11;
const ATTRIBUTES: u32 = 12;

impl Classic {
    /// Adds a dimension; gives its number.
    pub(crate) fn dimension(&mut self, name: &str, length: usize) -> usize {
        self.dimensions.push((name.to_owned(), length as u32));
        self.dimensions.len() - 1
    }

    /// Adds a variable.
    pub(crate) fn variable(
        &mut self,
        name: &str,
        dimensions: &[usize],
        attributes: &[(&str, Values)],
        values: Values,
    ) {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        self.variables.push(Variable {
            name: name.to_owned(),
            dimensions: dimensions.to_vec(),
            attributes,
            values,
        });
    }

    /// The file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        // The header's length does not depend on the places in it.
        let length = self.header(0).len() as u64;
        let mut file = self.header(length);
        for variable in &self.variables {
            file.extend(variable.values.bytes());
            pad(&mut file);
        }
        file
    }

    fn header(&self, data: u64) -> Vec<u8> {
        let mut out = b"CDF\x02\0\0\0\0".to_vec();
        list(&mut out, DIMENSIONS, self.dimensions.len());
        for (dimension, length) in &self.dimensions {
            name(&mut out, dimension);
            out.extend(length.to_be_bytes());
        }
        attributes(&mut out, &self.attributes);
        list(&mut out, VARIABLES, self.variables.len());
        let mut place = data;
        for variable in &self.variables {
            name(&mut out, &variable.name);
            out.extend((variable.dimensions.len() as u32).to_be_bytes());
            variable.dimensions.iter().for_each(|&number| out.extend((number as u32).to_be_bytes()));
            attributes(&mut out, &variable.attributes);
            out.extend(variable.values.kind().to_be_bytes());
            let size = variable.values.bytes().len().next_multiple_of(4) as u64;
            out.extend((size as u32).to_be_bytes());
            out.extend(place.to_be_bytes());
            place += size;
        }
        out
    }
}

impl Values {
    /// A text.
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    fn kind(&self) -> u32 {
        match self {
            Self::Bytes(_) => 1,
            Self::Text(_) => 2,
            Self::Shorts(_) => 3,
            Self::Ints(_) => 4,
            Self::Floats(_) => 5,
            Self::Doubles(_) => 6,
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Bytes(values) => values.len(),
            Self::Text(text) => text.len(),
            Self::Shorts(values) => values.len(),
            Self::Ints(values) => values.len(),
            Self::Floats(values) => values.len(),
            Self::Doubles(values) => values.len(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(values) => values.iter().flat_map(|value| value.to_be_bytes()).collect(),
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::Shorts(values) => values.iter().flat_map(|value| value.to_be_bytes()).collect(),
            Self::Ints(values) => values.iter().flat_map(|value| value.to_be_bytes()).collect(),
            Self::Floats(values) => values.iter().flat_map(|value| value.to_be_bytes()).collect(),
            Self::Doubles(values) => values.iter().flat_map(|value| value.to_be_bytes()).collect(),
        }
    }
}

/// A list that is absent is two zeros.
fn list(out: &mut Vec<u8>, tag: u32, count: usize) {
    out.extend(if count == 0 { [0; 4] } else { tag.to_be_bytes() });
    out.extend((count as u32).to_be_bytes());
}

fn name(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u32).to_be_bytes());
    out.extend(text.as_bytes());
    pad(out);
}

fn attributes(out: &mut Vec<u8>, attributes: &[(String, Values)]) {
    list(out, ATTRIBUTES, attributes.len());
    for (attribute, values) in attributes {
        name(out, attribute);
        out.extend(values.kind().to_be_bytes());
        out.extend((values.count() as u32).to_be_bytes());
        out.extend(values.bytes());
        pad(out);
    }
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}
