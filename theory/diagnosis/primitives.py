"""What is known of ATen's primitives: which are linear, bilinear, constant, nonlinear.

A primitive that stands in no table is unknown to the proofs, which is safe. One that stands in the
wrong table is what the search for witnesses, run against every proof, is there to find.
"""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


LINEAR_IN_FIRST = _names(
    """
    _adaptive_avg_pool2d _adaptive_avg_pool3d _conj _conj_physical _fft_c2c _fft_c2r _fft_r2c
    _neg_view _reshape_alias _unsafe_view _upsample_bicubic2d_aa _upsample_bilinear2d_aa
    _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d
    adaptive_avg_pool1d alias as_strided avg_pool1d avg_pool2d avg_pool3d channel_shuffle clone
    col2im contiguous cumsum detach diag_embed diagonal embedding expand flip gather im2col imag
    index index_select lift_fresh_copy mean movedim narrow neg negative permute pixel_shuffle
    pixel_unshuffle real reflection_pad1d reflection_pad2d reflection_pad3d repeat
    replication_pad1d replication_pad2d replication_pad3d reshape resolve_conj resolve_neg roll
    rot90 select slice split split_with_sizes squeeze sum t take trace transpose tril triu
    unbind unfold unsafe_split unsqueeze upsample_bicubic2d upsample_bilinear2d
    upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d
    upsample_trilinear3d view view_as_complex view_as_real
    """
)
"""Linear in the first argument; every other array argument must be constant."""

AFFINE_COMBINATION = _names(
    """
    add cat complex copy diagonal_scatter fill hstack index_add index_copy index_fill index_put
    put rsub scatter scatter_add select_scatter slice_scatter stack sub vstack
    """
)
"""Sums and arrangements of arrays: linear if all are, affine if some are constant."""

PRODUCT = _names("bmm dot matmul mm mul multiply mv outer vdot")
"""Bilinear in the first two arguments."""

PRODUCT_AND_SUM = _names("addbmm addcmul addmm addmv baddbmm")
"""The first argument, plus a product of the next two."""

PLACING = frozenset(
    {"accumulate", "alpha", "dim", "dim1", "dim2", "end", "index", "indices", "non_blocking"}
    | {"offset", "start", "step"}
)
"""The arguments of those that say where a summand goes, or what it is multiplied by."""

ZERO = _names(
    """
    empty empty_like empty_permuted empty_strided new_empty new_empty_strided new_zeros zeros
    zeros_like
    """
)
"""Holds zeros; or memory as it was found, which is no part of a function and has to be overwritten.
"""

CONSTANT = ZERO | _names("arange eye full full_like new_full new_ones ones ones_like scalar_tensor")
"""Depends at most on the shape of what it is given."""

NONLINEAR = _names(
    """
    _cdist_forward _fused_rms_norm _log_softmax _native_batch_norm_legit
    _native_batch_norm_legit_functional _prelu_kernel _safe_softmax
    _scaled_dot_product_flash_attention_for_cpu _softmax abs acos acosh adaptive_max_pool2d
    adaptive_max_pool3d amax amin aminmax angle argmax argmin argsort asin asinh atan atan2
    atanh bitwise_and bitwise_not bitwise_or bitwise_xor ceil celu clamp clamp_max clamp_min
    copysign cos cosh cummax cummin cumprod digamma elu eq erf erfc erfinv exp exp2 expm1
    fake_quantize_per_tensor_affine floor floor_divide fmax fmin fmod frac fractional_max_pool2d
    fractional_max_pool3d ge gelu glu gt hardshrink hardsigmoid hardswish hardtanh huber_loss
    hypot isfinite isinf isnan kthvalue le leaky_relu lgamma linalg_vector_norm log log10 log1p
    log2 log_sigmoid_forward logaddexp logcumsumexp logical_and logical_not logical_or
    logical_xor logsumexp lt max max_pool2d_with_indices max_pool3d_with_indices maximum median
    min minimum mish mode mse_loss nan_to_num nanmedian native_group_norm native_layer_norm ne
    nonzero norm pow prelu prod reciprocal relu remainder round rsqrt sgn sigmoid sign signbit
    silu sin sinh smooth_l1_loss softplus softshrink sort sqrt square std std_mean tan tanh
    threshold topk trunc var var_mean
    """
)
"""Known not to be affine in general: a hint, never a verdict."""

OWN_RULE = _names(
    """
    _embedding_bag _embedding_bag_forward_only _native_batch_norm_legit_no_training _to_copy
    _trilinear addcdiv constant_pad_nd convolution div lerp masked_fill where
    """
)
"""Have a rule of their own in `theory.diagnosis.structure`."""

KNOWN = (
    LINEAR_IN_FIRST
    | AFFINE_COMBINATION
    | PRODUCT
    | PRODUCT_AND_SUM
    | CONSTANT
    | NONLINEAR
    | OWN_RULE
)
"""Stands in one of the tables, or has a rule of its own."""

INTEGER_DIVISION = _names("div floor_divide fmod remainder")
"""Raises an error where integers are divided by zero."""

POINTWISE = _names("_to_copy hardswish leaky_relu log_sigmoid_forward")
"""Act on each cell alone, in one and the same way; torch does not tag them so, or did not once."""
