/* Moves the blocks of an up-convolution, which were computed as rows of a matrix, to their places in the map.
 *
 *   y[n, z * kd + a, y * kh + b, x * kw + c, co] = blocks[r, ((a * kh + b) * kw + c) * CO + co] + bias[co]
 *
 * for input voxels row0 + r = ((n * d + z) * h + y) * w + x, 0 <= r < rows.
 *
 *   HAS_BIAS   1: the bias is added; 0: it is not read */
#ifndef HAS_BIAS
#define HAS_BIAS 0
#endif

__kernel void fold(IN(float, blocks), IN(float, bias), OUT(float, y), const int row0, const int rows,
                   const int h, const int w, const int kd, const int kh, const int kw, const int channels)
{
    AT(blocks);
    AT(bias);
    AT(y);
    const int i = (int)get_global_id(0), co = i % channels, tap = i / channels % (kd * kh * kw);
    const int r = i / (channels * kd * kh * kw), v = row0 + r;
    if (r >= rows) return;
    const int oz = v / (h * w) * kd + tap / (kh * kw); /* counted over all samples: n * (d * kd) + z */
    const int oy = v / w % h * kh + tap / kw % kh;
    const int ox = v % w * kw + tap % kw;
    float value = blocks[i];
#if HAS_BIAS
    value += bias[co];
#endif
    y[((oz * h * kh + oy) * w * kw + ox) * channels + co] = value;
}

/* y[v, c] += bias[c] for all n elements of y. */
__kernel void add_bias(OUT(float, y), IN(float, bias), const int n, const int channels)
{
    AT(y);
    AT(bias);
    const int i = (int)get_global_id(0);
    if (i < n) y[i] += bias[i % channels];
}
