// Resizing of a LiteRT file to another fixed size.
//
// LiteRT.js cannot resize inputs, and the shipped file has one size. The size is only
// some numbers in the file's table of tensors: the network consists of convolutions and
// blocks turned into channels, so its weights fit any size. With new numbers, a small
// photo can go through whole, and tiles can be as large as `planTiles` wants, without a
// second file.

const MODEL_SUBGRAPHS = 2;
const MODEL_BUFFERS = 4;
const SUBGRAPH_TENSORS = 0;
const SUBGRAPH_INPUTS = 1;
const TENSOR_SHAPE = 0;
const TENSOR_BUFFER = 2;
const TENSOR_SHAPE_SIGNATURE = 7;
const BUFFER_DATA = 0;
const BUFFER_OFFSET = 1;

// A view of a FlatBuffer: tables, their fields, vectors (flatbuffers.dev, internals).
class Reader {
  constructor(bytes) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  int(at) {
    return this.view.getInt32(at, true);
  }

  follow(at) {
    return at + this.view.getUint32(at, true);
  }

  // Position of a table's field, or 0 if the table omits it.
  field(table, index) {
    const layout = table - this.int(table);
    const entry = 4 + 2 * index;
    if (entry >= this.view.getUint16(layout, true)) return 0;
    const offset = this.view.getUint16(layout + entry, true);
    return offset && table + offset;
  }

  // Positions of the elements of a vector field, four bytes each.
  elements(table, index) {
    const field = this.field(table, index);
    if (!field) return [];
    const vector = this.follow(field);
    return Array.from({ length: this.int(vector) }, (_, i) => vector + 4 + 4 * i);
  }

  scale(at, from, to) {
    const side = (this.int(at) * to) / from;
    if (!Number.isInteger(side) || side < 1) {
      throw new Error(`Sizes must be multiples of the stride. Received: ${to}.`);
    }
    this.view.setInt32(at, side, true);
  }

  tables(table, index) {
    return this.elements(table, index).map((at) => this.follow(at));
  }
}

/**
 * Returns a copy of a LiteRT file whose images are `height` x `width`.
 *
 * @param {Uint8Array} bytes file with one input `(1, height, width, channels)`.
 * @param {number} height multiple of the network's stride, like `width`.
 * @param {number} width
 * @returns {Uint8Array}
 */
export function withSize(bytes, height, width) {
  const copy = bytes.slice();
  const file = new Reader(copy);
  const model = file.follow(0);
  const [graph] = file.tables(model, MODEL_SUBGRAPHS);
  const buffers = file.tables(model, MODEL_BUFFERS);
  const tensors = file.tables(graph, SUBGRAPH_TENSORS);
  const [input] = file.elements(graph, SUBGRAPH_INPUTS);
  const [, tall, wide] = file
    .elements(tensors[file.int(input)], TENSOR_SHAPE)
    .map((at) => file.int(at));
  const scaled = new Set(); // tensors may share a shape
  for (const tensor of tensors) {
    if (isConstant(file, tensor, buffers)) continue;
    for (const field of [TENSOR_SHAPE, TENSOR_SHAPE_SIGNATURE]) {
      const shape = file.elements(tensor, field);
      if (shape.length !== 4 || scaled.has(shape[1])) continue;
      scaled.add(shape[1]);
      file.scale(shape[1], tall, height);
      file.scale(shape[2], wide, width);
    }
  }
  return copy;
}

// Whether a tensor is a weight, whose numbers are in the file.
function isConstant(file, tensor, buffers) {
  const field = file.field(tensor, TENSOR_BUFFER);
  const buffer = buffers[field ? file.int(field) : 0];
  return file.field(buffer, BUFFER_DATA) || file.field(buffer, BUFFER_OFFSET);
}
