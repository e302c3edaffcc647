/* Ops that treat all elements alike. A work-item computes one piece of VEC elements; n is the number of
 * pieces.
 *
 *   relu       y = x > 0 ? x : slope * x
 *   relu_back  dx = y > 0 ? dy : slope * dy
 *   add        y = a + b
 *   scale      y = factor * x
 *   copy       y = x, or y += x if ADD
 *   fill       y = value */
#include "vec.clh"

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
relu(SHARED(float, x), SHARED(float, y), const int n, const float slope)
{
    AT(x);
    AT(y);
    const size_t i = get_global_id(0);
    if (i >= (size_t)n) return;
    const floatv v = PIECES(x)[i];
    PIECES(y)[i] = v > 0.0f ? v : slope * v;
}

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
relu_back(SHARED(float, dy), IN(float, y), SHARED(float, dx), const int n, const float slope)
{
    AT(dy);
    AT(y);
    AT(dx);
    const size_t i = get_global_id(0);
    if (i >= (size_t)n) return;
    const floatv g = PIECES(dy)[i];
    PIECES(dx)[i] = CPIECES(y)[i] > 0.0f ? g : slope * g;
}

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
add(SHARED(float, a), IN(float, b), SHARED(float, y), const int n)
{
    AT(a);
    AT(b);
    AT(y);
    const size_t i = get_global_id(0);
    if (i >= (size_t)n) return;
    PIECES(y)[i] = PIECES(a)[i] + CPIECES(b)[i];
}

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
copy(IN(float, x), OUT(float, y), const int n)
{
    AT(x);
    AT(y);
    const size_t i = get_global_id(0);
    if (i >= (size_t)n) return;
    STORE(PIECES(y)[i], CPIECES(x)[i]);
}

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
fill(OUT(float, y), const int n, const float value)
{
    AT(y);
    const size_t i = get_global_id(0);
    if (i >= (size_t)n) return;
    PIECES(y)[i] = (floatv)(value);
}

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
scale(SHARED(float, x), SHARED(float, y), const int n, const float factor)
{
    AT(x);
    AT(y);
    const size_t i = get_global_id(0);
    if (i >= (size_t)n) return;
    PIECES(y)[i] = factor * PIECES(x)[i];
}
