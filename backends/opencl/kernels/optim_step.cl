/* Optimizer updates of flat blocks, and the sum of squares for the gradient norm; engine/run/optim.h has the
 * formulas. A work-item of an update processes one piece of VEC elements, and n is the number of pieces. The
 * updates are bound by memory. */
#include "vec.clh"
#include "reduce.clh"

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
sgd_step(IN(float, grad), IN(float, hyper), OUT(float, value), OUT(float, velocity), const int n)
{
    AT(grad);
    AT(hyper);
    AT(value);
    AT(velocity);
    const size_t i = get_global_id(0);
    if (i >= (size_t)n) return;
    const float lr = hyper[0], momentum = hyper[1], decay = hyper[2], scale = hyper[3];
    const floatv old = PIECES(value)[i], g = CPIECES(grad)[i] * scale + decay * old;
    const floatv v = momentum * PIECES(velocity)[i] + g;
    PIECES(velocity)[i] = v;
    PIECES(value)[i] = old - lr * (hyper[4] != 0.0f ? g + momentum * v : v);
}

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
adam_step(IN(float, grad), IN(float, hyper), OUT(float, value), OUT(float, m), OUT(float, v), const int n)
{
    AT(grad);
    AT(hyper);
    AT(value);
    AT(m);
    AT(v);
    const size_t i = get_global_id(0);
    if (i >= (size_t)n) return;
    const float lr = hyper[0], beta1 = hyper[1], beta2 = hyper[2], eps = hyper[3], decay = hyper[4];
    const floatv g = CPIECES(grad)[i] * hyper[5], old = PIECES(value)[i];
    const floatv first = beta1 * PIECES(m)[i] + (1.0f - beta1) * g;
    const floatv second = beta2 * PIECES(v)[i] + (1.0f - beta2) * g * g;
    PIECES(m)[i] = first;
    PIECES(v)[i] = second;
    PIECES(value)[i] = old - lr * (first / hyper[6] / (sqrt(second / hyper[7]) + eps) + decay * old);
}

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
lerp(IN(float, x), IN(float, t), OUT(float, y), const int n)
{
    AT(x);
    AT(t);
    AT(y);
    const size_t i = get_global_id(0);
    if (i >= (size_t)n) return;
    const floatv old = PIECES(y)[i];
    PIECES(y)[i] = old + t[0] * (CPIECES(x)[i] - old);
}

/* part[group] = sum of squares over the group's `span` pieces. */
__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
sum_squares(IN(float, x), OUT(float, part), const int n, const int span)
{
    __local float2 pairs[256];
    AT(x);
    AT(part);
    const int item = (int)get_local_id(0), first = (int)get_group_id(0) * span, count = min(span, n - first);
    float2 sum = (float2)(0.0f);
    for (int k = item; k < count; k += 256) {
        const floatv v = CPIECES(x)[(size_t)first + k];
#if VEC == 4
        sum = pair_add(sum, (v.x * v.x + v.y * v.y) + (v.z * v.z + v.w * v.w));
#else
        sum = pair_add(sum, v * v);
#endif
    }
    pairs[item] = sum;
    tree_pairs(pairs, 1, 256);
    if (item == 0) part[get_group_id(0)] = pairs[0].x + pairs[0].y;
}
