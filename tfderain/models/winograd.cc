// 3x3 convolutions of float32 images, stride 1, zero padding, and their gradients, by
// Winograd's F(4x4, 3x3): a quarter of the multiplications of the direct sum.
//
// Y = A^T [(G g G^T) . (B^T d B)] A for tiles d of 6x6 pixels that make 4x4 outputs; sums
// over channels are 36 matrix products (Lavin and Gray, 2016, arXiv:1509.09308, section
// 4). The gradients are the transposed steps. An image is one thread's work.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/util/work_sharder.h"

namespace {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;

// Eight floats, at any address.
typedef float Lane __attribute__((vector_size(32), aligned(4)));
constexpr int kLane = 8;

inline Lane Load(const float* p) { return *reinterpret_cast<const Lane*>(p); }
inline void Store(float* p, Lane v) { *reinterpret_cast<Lane*>(p) = v; }

// The one-dimensional transforms; `s` is the distance between values.

// B^T d
inline void TransformInput(const Lane* d, int s, Lane* v, int t) {
  v[0 * t] = 4.f * d[0] - 5.f * d[2 * s] + d[4 * s];
  Lane a = d[4 * s] - 4.f * d[2 * s], b = d[3 * s] - 4.f * d[1 * s];
  v[1 * t] = a + b;
  v[2 * t] = a - b;
  Lane c = d[4 * s] - d[2 * s], e = 2.f * (d[3 * s] - d[1 * s]);
  v[3 * t] = c + e;
  v[4 * t] = c - e;
  v[5 * t] = 4.f * d[1 * s] - 5.f * d[3 * s] + d[5 * s];
}

// B v, its transpose
inline void ReturnInput(const Lane* v, int s, Lane* d, int t) {
  Lane p = v[1 * s] + v[2 * s], m = v[1 * s] - v[2 * s];
  Lane q = v[3 * s] + v[4 * s], n = v[3 * s] - v[4 * s];
  d[0 * t] = 4.f * v[0];
  d[1 * t] = 4.f * v[5 * s] - 4.f * m - 2.f * n;
  d[2 * t] = -5.f * v[0] - 4.f * p - q;
  d[3 * t] = m + 2.f * n - 5.f * v[5 * s];
  d[4 * t] = v[0] + p + q;
  d[5 * t] = v[5 * s];
}

// A^T m
inline void TransformOutput(const Lane* m, int s, Lane* y, int t) {
  Lane p = m[1 * s] + m[2 * s], d = m[1 * s] - m[2 * s];
  Lane q = m[3 * s] + m[4 * s], e = m[3 * s] - m[4 * s];
  y[0 * t] = m[0] + p + q;
  y[1 * t] = d + 2.f * e;
  y[2 * t] = p + 4.f * q;
  y[3 * t] = d + 8.f * e + m[5 * s];
}

// A y, its transpose
inline void ReturnOutput(const Lane* y, int s, Lane* m, int t) {
  Lane p = y[0] + y[2 * s], d = y[1 * s] + y[3 * s];
  Lane q = y[0] + 4.f * y[2 * s], e = 2.f * y[1 * s] + 8.f * y[3 * s];
  m[0 * t] = y[0];
  m[1 * t] = p + d;
  m[2 * t] = p - d;
  m[3 * t] = q + e;
  m[4 * t] = q - e;
  m[5 * t] = y[3 * s];
}

const float kKernel[6][3] = {{1 / 4.f, 0, 0},
                             {-1 / 6.f, -1 / 6.f, -1 / 6.f},
                             {-1 / 6.f, 1 / 6.f, -1 / 6.f},
                             {1 / 24.f, 1 / 12.f, 1 / 6.f},
                             {1 / 24.f, -1 / 12.f, 1 / 6.f},
                             {0, 0, 1}};

// U = G g G^T for `count` kernels: (3, 3, count) to (36, count).
void TransformKernel(const float* g, long count, float* u) {
  std::vector<float> rows(3 * count);
  for (int i = 0; i < 6; ++i) {
    const float* f = kKernel[i];
    for (long k = 0; k < 3 * count; ++k)
      rows[k] = f[0] * g[k] + f[1] * g[k + 3 * count] + f[2] * g[k + 6 * count];
    for (int j = 0; j < 6; ++j) {
      const float* e = kKernel[j];
      float* out = u + (6 * i + j) * count;
      for (long k = 0; k < count; ++k)
        out[k] = e[0] * rows[k] + e[1] * rows[k + count] + e[2] * rows[k + 2 * count];
    }
  }
}

// dg = G^T dU G
void ReturnKernel(const float* u, long count, float* g) {
  std::fill(g, g + 9 * count, 0.f);
  std::vector<float> rows(3 * count);
  for (int i = 0; i < 6; ++i) {
    std::fill(rows.begin(), rows.end(), 0.f);
    for (int j = 0; j < 6; ++j)
      for (int x = 0; x < 3; ++x)
        for (long k = 0; k < count; ++k)
          rows[x * count + k] += kKernel[j][x] * u[(6 * i + j) * count + k];
    for (int y = 0; y < 3; ++y)
      for (long k = 0; k < 3 * count; ++k) g[3 * y * count + k] += kKernel[i][y] * rows[k];
  }
}

// C (rows, columns) = A B, or += : A(i, k) lies at a[i * row + k * column], B and C are
// row-major. `columns` is a multiple of 8.
template <int kRows, int kLanes, bool kAdd>
inline void Block(int depth, const float* a, long row, long column, const float* b,
                  long ldb, float* c, long ldc) {
  Lane sum[kRows][kLanes] = {};
  for (int k = 0; k < depth; ++k) {
    Lane right[kLanes];
    for (int l = 0; l < kLanes; ++l) right[l] = Load(b + k * ldb + l * kLane);
    for (int r = 0; r < kRows; ++r) {
      const float left = a[r * row + k * column];
      for (int l = 0; l < kLanes; ++l) sum[r][l] += left * right[l];
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int l = 0; l < kLanes; ++l) {
      float* out = c + r * ldc + l * kLane;
      Store(out, kAdd ? Load(out) + sum[r][l] : sum[r][l]);
    }
}

template <int kLanes, bool kAdd>
void Columns(int rows, int depth, const float* a, long row, long column, const float* b,
             long ldb, float* c, long ldc) {
  int i = 0;
  // Six rows of two lanes fill the sixteen registers of AVX2.
  for (; i + 6 <= rows; i += 6)
    Block<6, kLanes, kAdd>(depth, a + i * row, row, column, b, ldb, c + i * ldc, ldc);
  for (; i + 3 <= rows; i += 3)
    Block<3, kLanes, kAdd>(depth, a + i * row, row, column, b, ldb, c + i * ldc, ldc);
  for (; i < rows; ++i)
    Block<1, kLanes, kAdd>(depth, a + i * row, row, column, b, ldb, c + i * ldc, ldc);
}

template <bool kAdd>
void Multiply(int rows, int columns, int depth, const float* a, long row, long column,
              const float* b, float* c) {
  int j = 0;
  for (; j + 16 <= columns; j += 16)
    Columns<2, kAdd>(rows, depth, a, row, column, b + j, columns, c + j, columns);
  for (; j < columns; j += 8)
    Columns<1, kAdd>(rows, depth, a, row, column, b + j, columns, c + j, columns);
}

// One image, and the part of its tiles that is in work.
struct Tiles {
  int height, width, across, count;  // of the image in pixels, and in tiles
  static constexpr int kMost = 64;   // at once: what they need stays in the cache

  Tiles(int height, int width)
      : height(height),
        width(width),
        across((width + 3) / 4),
        count(across * ((height + 3) / 4)) {}
};

// Tiles [first, first + number) of an image to V (36, number, channels).
void Gather(const float* image, const Tiles& tiles, int first, int number, int channels,
            const float* zeros, float* v) {
  const float* at[36];
  for (int t = 0; t < number; ++t) {
    const int top = (first + t) / tiles.across * 4 - 1;
    const int left = (first + t) % tiles.across * 4 - 1;
    for (int i = 0; i < 6; ++i)
      for (int j = 0; j < 6; ++j) {
        const int y = top + i, x = left + j;
        const bool inside = y >= 0 && y < tiles.height && x >= 0 && x < tiles.width;
        at[6 * i + j] =
            inside ? image + (static_cast<long>(y) * tiles.width + x) * channels : zeros;
      }
    for (int c = 0; c < channels; c += kLane) {
      Lane d[36], w[36], out[6];
      for (int k = 0; k < 36; ++k) d[k] = Load(at[k] + c);
      for (int j = 0; j < 6; ++j) TransformInput(d + j, 6, w + j, 6);
      for (int i = 0; i < 6; ++i) {
        TransformInput(w + 6 * i, 1, out, 1);
        for (int j = 0; j < 6; ++j)
          Store(v + (static_cast<long>(6 * i + j) * number + t) * channels + c, out[j]);
      }
    }
  }
}

// The transpose of `Gather`: adds to the image.
void Scatter(const float* v, const Tiles& tiles, int first, int number, int channels,
             float* image) {
  for (int t = 0; t < number; ++t) {
    const int top = (first + t) / tiles.across * 4 - 1;
    const int left = (first + t) % tiles.across * 4 - 1;
    for (int c = 0; c < channels; c += kLane) {
      Lane w[36], in[6], d[6];
      for (int i = 0; i < 6; ++i) {
        for (int j = 0; j < 6; ++j)
          in[j] = Load(v + (static_cast<long>(6 * i + j) * number + t) * channels + c);
        ReturnInput(in, 1, w + 6 * i, 1);
      }
      for (int j = 0; j < 6; ++j) {
        const int x = left + j;
        if (x < 0 || x >= tiles.width) continue;
        ReturnInput(w + j, 6, d, 1);
        for (int i = 0; i < 6; ++i) {
          const int y = top + i;
          if (y < 0 || y >= tiles.height) continue;
          float* p = image + (static_cast<long>(y) * tiles.width + x) * channels + c;
          Store(p, Load(p) + d[i]);
        }
      }
    }
  }
}

// M (36, number, channels) to the outputs of these tiles.
void WriteOutput(const float* m, const Tiles& tiles, int first, int number, int channels,
                 float* image) {
  for (int t = 0; t < number; ++t) {
    const int top = (first + t) / tiles.across * 4;
    const int left = (first + t) % tiles.across * 4;
    for (int c = 0; c < channels; c += kLane) {
      Lane w[24], in[6], y[4];
      for (int i = 0; i < 6; ++i) {
        for (int j = 0; j < 6; ++j)
          in[j] = Load(m + (static_cast<long>(6 * i + j) * number + t) * channels + c);
        TransformOutput(in, 1, w + 4 * i, 1);
      }
      for (int j = 0; j < 4 && left + j < tiles.width; ++j) {
        TransformOutput(w + j, 4, y, 1);
        for (int i = 0; i < 4 && top + i < tiles.height; ++i)
          Store(image + (static_cast<long>(top + i) * tiles.width + left + j) * channels + c,
                y[i]);
      }
    }
  }
}

// The transpose of `WriteOutput`.
void ReadOutput(const float* image, const Tiles& tiles, int first, int number,
                int channels, float* m) {
  for (int t = 0; t < number; ++t) {
    const int top = (first + t) / tiles.across * 4;
    const int left = (first + t) % tiles.across * 4;
    for (int c = 0; c < channels; c += kLane) {
      Lane y[16], w[24], out[6];
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) {
          const bool inside = top + i < tiles.height && left + j < tiles.width;
          y[4 * i + j] =
              inside ? Load(image +
                            (static_cast<long>(top + i) * tiles.width + left + j) * channels +
                            c)
                     : Lane{};
        }
      for (int j = 0; j < 4; ++j) ReturnOutput(y + j, 4, w + j, 4);
      for (int i = 0; i < 6; ++i) {
        ReturnOutput(w + 4 * i, 1, out, 1);
        for (int j = 0; j < 6; ++j)
          Store(m + (static_cast<long>(6 * i + j) * number + t) * channels + c, out[j]);
      }
    }
  }
}

float* Scratch(int which, size_t size) {
  static thread_local std::vector<float> buffers[4];
  if (buffers[which].size() < size) buffers[which].resize(size);
  return buffers[which].data();
}

void CheckShapes(OpKernelContext* context, const Tensor& images, const Tensor& kernel) {
  OP_REQUIRES(context, images.dims() == 4 && kernel.dims() == 4,
              absl::InvalidArgumentError("Images and kernel must have four axes."));
  OP_REQUIRES(context,
              kernel.dim_size(0) == 3 && kernel.dim_size(1) == 3 &&
                  kernel.dim_size(2) == images.dim_size(3),
              absl::InvalidArgumentError("The kernel must be (3, 3, channels, filters)."));
  OP_REQUIRES(context, kernel.dim_size(2) % kLane == 0 && kernel.dim_size(3) % kLane == 0,
              absl::InvalidArgumentError("Channels and filters must be multiples of 8."));
}

void ForEachImage(OpKernelContext* context, int images, long cost,
                  std::function<void(int, int)> work) {
  auto* workers = context->device()->tensorflow_cpu_worker_threads();
  tensorflow::Shard(workers->num_threads, workers->workers, images, cost,
                    [&](int64_t first, int64_t last) { work(first, last); });
}

class WinogradConv : public OpKernel {
 public:
  explicit WinogradConv(OpKernelConstruction* context) : OpKernel(context) {}

  void Compute(OpKernelContext* context) override {
    const Tensor &images = context->input(0), &kernel = context->input(1);
    CheckShapes(context, images, kernel);
    if (!context->status().ok()) return;
    const int channels = kernel.dim_size(2), filters = kernel.dim_size(3);
    TensorShape shape = images.shape();
    shape.set_dim(3, filters);
    Tensor* output = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &output));
    const Tiles tiles(shape.dim_size(1), shape.dim_size(2));
    const long pixels = static_cast<long>(tiles.height) * tiles.width;
    std::vector<float> u(36 * channels * filters), zeros(channels);
    TransformKernel(kernel.flat<float>().data(), channels * filters, u.data());
    const float* in = images.flat<float>().data();
    float* out = output->flat<float>().data();
    ForEachImage(
        context, shape.dim_size(0), 3 * pixels * channels * filters,
        [&](int start, int end) {
          float* v = Scratch(0, 36l * Tiles::kMost * channels);
          float* m = Scratch(1, 36l * Tiles::kMost * filters);
          for (int n = start; n < end; ++n)
            for (int first = 0; first < tiles.count; first += Tiles::kMost) {
              const int number = std::min(Tiles::kMost, tiles.count - first);
              Gather(in + n * pixels * channels, tiles, first, number, channels,
                     zeros.data(), v);
              for (int k = 0; k < 36; ++k)
                Multiply<false>(number, filters, channels, v + k * number * channels,
                                channels, 1, u.data() + k * channels * filters,
                                m + k * number * filters);
              WriteOutput(m, tiles, first, number, filters, out + n * pixels * filters);
            }
        });
  }
};

class WinogradConvGrad : public OpKernel {
 public:
  explicit WinogradConvGrad(OpKernelConstruction* context) : OpKernel(context) {}

  void Compute(OpKernelContext* context) override {
    const Tensor &images = context->input(0), &kernel = context->input(1);
    const Tensor& gradient = context->input(2);
    CheckShapes(context, images, kernel);
    if (!context->status().ok()) return;
    const int channels = kernel.dim_size(2), filters = kernel.dim_size(3);
    Tensor *image_gradient = nullptr, *kernel_gradient = nullptr;
    OP_REQUIRES_OK(context,
                   context->allocate_output(0, images.shape(), &image_gradient));
    OP_REQUIRES_OK(context,
                   context->allocate_output(1, kernel.shape(), &kernel_gradient));
    const Tiles tiles(images.dim_size(1), images.dim_size(2));
    const long pixels = static_cast<long>(tiles.height) * tiles.width;
    const long size = 36l * channels * filters;
    std::vector<float> turned(size / 4), u(size), total(size), zeros(channels);
    const float* g = kernel.flat<float>().data();
    for (int k = 0; k < 9; ++k)
      for (int f = 0; f < filters; ++f)
        for (int c = 0; c < channels; ++c)
          turned[(k * filters + f) * channels + c] = g[(k * channels + c) * filters + f];
    TransformKernel(turned.data(), channels * filters, u.data());
    const float* in = images.flat<float>().data();
    const float* dy = gradient.flat<float>().data();
    float* dx = image_gradient->flat<float>().data();
    std::mutex lock;
    ForEachImage(
        context, images.dim_size(0), 6 * pixels * channels * filters,
        [&](int start, int end) {
          float* v = Scratch(0, 36l * Tiles::kMost * channels);
          float* m = Scratch(1, 36l * Tiles::kMost * filters);
          float* w = Scratch(2, 36l * Tiles::kMost * channels);
          float* du = Scratch(3, size);
          std::fill(du, du + size, 0.f);
          for (int n = start; n < end; ++n) {
            std::fill_n(dx + n * pixels * channels, pixels * channels, 0.f);
            for (int first = 0; first < tiles.count; first += Tiles::kMost) {
              const int number = std::min(Tiles::kMost, tiles.count - first);
              Gather(in + n * pixels * channels, tiles, first, number, channels,
                     zeros.data(), v);
              ReadOutput(dy + n * pixels * filters, tiles, first, number, filters, m);
              for (int k = 0; k < 36; ++k) {
                const float* mk = m + k * number * filters;
                Multiply<false>(number, channels, filters, mk, filters, 1,
                                u.data() + k * channels * filters,
                                w + k * number * channels);
                Multiply<true>(channels, filters, number, v + k * number * channels, 1,
                               channels, mk, du + k * channels * filters);
              }
              Scatter(w, tiles, first, number, channels, dx + n * pixels * channels);
            }
          }
          std::lock_guard<std::mutex> guard(lock);
          for (long k = 0; k < size; ++k) total[k] += du[k];
        });
    ReturnKernel(total.data(), channels * filters,
                 kernel_gradient->flat<float>().data());
  }
};

}  // namespace

REGISTER_OP("TfderainWinogradConv")
    .Input("images: float32")
    .Input("kernel: float32")
    .Output("output: float32")
    .SetShapeFn([](tensorflow::shape_inference::InferenceContext* c) {
      tensorflow::shape_inference::ShapeHandle images, kernel, output;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &images));
      TF_RETURN_IF_ERROR(c->WithRank(c->input(1), 4, &kernel));
      TF_RETURN_IF_ERROR(c->ReplaceDim(images, 3, c->Dim(kernel, 3), &output));
      c->set_output(0, output);
      return absl::OkStatus();
    });

REGISTER_OP("TfderainWinogradConvGrad")
    .Input("images: float32")
    .Input("kernel: float32")
    .Input("gradient: float32")
    .Output("image_gradient: float32")
    .Output("kernel_gradient: float32")
    .SetShapeFn([](tensorflow::shape_inference::InferenceContext* c) {
      c->set_output(0, c->input(0));
      c->set_output(1, c->input(1));
      return absl::OkStatus();
    });

REGISTER_KERNEL_BUILDER(Name("TfderainWinogradConv").Device(tensorflow::DEVICE_CPU),
                        WinogradConv);
REGISTER_KERNEL_BUILDER(Name("TfderainWinogradConvGrad").Device(tensorflow::DEVICE_CPU),
                        WinogradConvGrad);
