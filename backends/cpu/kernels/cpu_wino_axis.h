/* Winograd's minimal filtering along one axis, on vectors of channels.
 *
 * A tile of m outputs of a correlation with r taps g needs a = m + r - 1 inputs d and as many products:
 *   y = A^T [(G g) * (B^T d)]
 * F(4,3) interpolates at 0, 1, -1, 2, -2, infinity; F(2,3) at 0, 1, -1, infinity. F(1,1) is the identity, for
 * axes along which the kernel has one tap. The forward pass uses B^T, G and A^T. The gradient of the weights
 * is the exact adjoint,
 *   dg = G^T [(A dy) * (B^T d)]
 * Source: Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks", arXiv:1509.09308.
 *
 * m is a constant in every call of these functions, so that the compiler removes the branches. */
#ifndef U3D_CPU_WINO_AXIS_H
#define U3D_CPU_WINO_AXIS_H

#include "backends/cpu/kernels/cpu_vec.h"

#define CPU_INLINE __attribute__((always_inline)) static inline

enum { CPU_WINO_A = 6 }; /* most inputs of a tile along an axis */

CPU_INLINE int cpu_wino_inputs(int m)
{
    return m == 1 ? 1 : m + 2;
}

CPU_INLINE int cpu_wino_taps(int m)
{
    return m == 1 ? 1 : 3;
}

/* o[a] = B^T d[a]: inputs to factors of the products. */
CPU_INLINE void cpu_wino_bt(int m, const cpu_vec *d, cpu_vec *o)
{
    if (m == 4) {
        const cpu_vec even = d[4] - 4.0F * d[2], odd = d[3] - 4.0F * d[1];
        const cpu_vec e = d[4] - d[2], f = 2.0F * (d[3] - d[1]);
        o[0] = 4.0F * d[0] + (d[4] - 5.0F * d[2]);
        o[1] = even + odd;
        o[2] = even - odd;
        o[3] = e + f;
        o[4] = e - f;
        o[5] = 4.0F * d[1] + (d[5] - 5.0F * d[3]);
    } else if (m == 2) {
        o[0] = d[0] - d[2];
        o[1] = d[1] + d[2];
        o[2] = d[2] - d[1];
        o[3] = d[1] - d[3];
    } else {
        o[0] = d[0];
    }
}

/* o[m] = A^T p[a]: products to outputs. */
CPU_INLINE void cpu_wino_at(int m, const cpu_vec *p, cpu_vec *o)
{
    if (m == 4) {
        const cpu_vec s1 = p[1] + p[2], d1 = p[1] - p[2], s2 = p[3] + p[4], d2 = p[3] - p[4];
        o[0] = p[0] + s1 + s2;
        o[1] = d1 + 2.0F * d2;
        o[2] = s1 + 4.0F * s2;
        o[3] = d1 + 8.0F * d2 + p[5];
    } else if (m == 2) {
        o[0] = p[0] + p[1] + p[2];
        o[1] = p[1] - p[2] - p[3];
    } else {
        o[0] = p[0];
    }
}

/* o[a] = A y[m]: gradients of outputs to factors of the products. */
CPU_INLINE void cpu_wino_a(int m, const cpu_vec *y, cpu_vec *o)
{
    if (m == 4) {
        const cpu_vec e = y[0] + y[2], f = y[1] + y[3];
        const cpu_vec g = y[0] + 4.0F * y[2], h = 2.0F * (y[1] + 4.0F * y[3]);
        o[0] = y[0];
        o[1] = e + f;
        o[2] = e - f;
        o[3] = g + h;
        o[4] = g - h;
        o[5] = y[3];
    } else if (m == 2) {
        o[0] = y[0];
        o[1] = y[0] + y[1];
        o[2] = y[0] - y[1];
        o[3] = -y[1];
    } else {
        o[0] = y[0];
    }
}

/* o[a] = G g[r]: taps to factors of the products. */
CPU_INLINE void cpu_wino_g(int m, const cpu_vec *g, cpu_vec *o)
{
    if (m == 4) {
        const cpu_vec s = g[0] + g[2], u = (1.0F / 24) * g[0] + (1.0F / 6) * g[2], v = (1.0F / 12) * g[1];
        o[0] = 0.25F * g[0];
        o[1] = (-1.0F / 6) * (s + g[1]);
        o[2] = (-1.0F / 6) * (s - g[1]);
        o[3] = u + v;
        o[4] = u - v;
        o[5] = g[2];
    } else if (m == 2) {
        const cpu_vec s = g[0] + g[2];
        o[0] = g[0];
        o[1] = 0.5F * (s + g[1]);
        o[2] = 0.5F * (s - g[1]);
        o[3] = g[2];
    } else {
        o[0] = g[0];
    }
}

/* o[r] = G^T p[a]: products to gradients of the taps. */
CPU_INLINE void cpu_wino_gt(int m, const cpu_vec *p, cpu_vec *o)
{
    if (m == 4) {
        const cpu_vec s1 = p[1] + p[2], d1 = p[2] - p[1], s2 = p[3] + p[4], d2 = p[3] - p[4];
        o[0] = 0.25F * p[0] - (1.0F / 6) * s1 + (1.0F / 24) * s2;
        o[1] = (1.0F / 6) * d1 + (1.0F / 12) * d2;
        o[2] = (1.0F / 6) * (s2 - s1) + p[5];
    } else if (m == 2) {
        const cpu_vec s = 0.5F * (p[1] + p[2]);
        o[0] = p[0] + s;
        o[1] = 0.5F * (p[1] - p[2]);
        o[2] = s + p[3];
    } else {
        o[0] = p[0];
    }
}

/* CPU_WINO_ZY defines a function for every pair of tile sizes along z and y; CPU_WINO_ZY_TABLE is the table
 * of these functions, indexed by m / 2 on each axis. */
#define CPU_WINO_ZY(X) X(1, 1) X(1, 2) X(1, 4) X(2, 1) X(2, 2) X(2, 4) X(4, 1) X(4, 2) X(4, 4)
#define CPU_WINO_ZY_TABLE(f)                                                                                 \
    {                                                                                                        \
        {f##_11, f##_12, f##_14}, {f##_21, f##_22, f##_24},                                                  \
        {                                                                                                    \
            f##_41, f##_42, f##_44                                                                           \
        }                                                                                                    \
    }

#endif
