#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>

namespace gondola {

/// Who multiplies float32 matrices. MKL, which ATen asks on CPUs, uses AVX2 at most on some
/// vendors' processors, where oneDNN uses AVX-512 at twice the speed; elsewhere either may be
/// faster.
enum class ProductLibrary {
  kAten,    ///< at::mm
  kOneDnn,  ///< mkldnn::_linear_pointwise, registered by libtorch but not a function of ATen
  kBf16,    ///< at::mm of values rounded to bfloat16, and so are its results: where the processor
            ///< has instructions for it, at several times the speed
};

[[nodiscard]] std::string name_of(ProductLibrary library);

/// Whether this libtorch has the library. oneDNN takes float32 on CPUs, bfloat16 float32 anywhere;
/// ATen takes all else.
[[nodiscard]] bool is_available(ProductLibrary library);

/// The products of a layer, without gradients; two of them are a forward and a backward pass.
/// Blocks have n rows.
class MatrixProduct {
 public:
  MatrixProduct() = default;
  MatrixProduct(ProductLibrary rows, ProductLibrary sums) : rows_(rows), sums_(sums) {}

  /// a [n, k] weight^T -> [n, m]; weight [m, k]. @param space [n, m], where the result lies unless
  /// the library brings its own memory.
  [[nodiscard]] torch::Tensor multiply(const torch::Tensor& a, const torch::Tensor& weight,
                                       torch::Tensor space) const;
  /// sum [m, k] += a^T b; a [n, m], b [n, k].
  void add_outer(const torch::Tensor& a, const torch::Tensor& b, torch::Tensor& sum) const;

  [[nodiscard]] ProductLibrary rows() const { return rows_; }
  [[nodiscard]] ProductLibrary sums() const { return sums_; }

 private:
  ProductLibrary rows_ = ProductLibrary::kAten;
  ProductLibrary sums_ = ProductLibrary::kAten;
};

/// A layer that takes `rows` of `in` values to as many of `out`.
struct ProductShape {
  std::int64_t rows = 256;
  std::int64_t in = 256;
  std::int64_t out = 256;
};

/// GFLOP/s of multiply() and add_outer() with one library.
struct ProductRates {
  double rows = 0;
  double sums = 0;
};

/// The library that takes least time here for the products of such a layer's forward and backward
/// pass, measured in turns; ATen's unless another takes a tenth less.
[[nodiscard]] ProductLibrary faster_library(const ProductShape& shape);

/// Measures such a layer in float32 (six times; 256 x 256 x 256 takes some ms): best of them.
[[nodiscard]] ProductRates measure_products(ProductLibrary library, const ProductShape& shape = {});

}  // namespace gondola
