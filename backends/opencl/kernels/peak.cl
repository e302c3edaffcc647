/* Measures the ceilings of a device: fused multiply-adds on registers, and the memory bandwidth of a
 * triad. */

/* Eight independent chains of eight lanes with `rounds` steps each. These are enough to hide the latency of a
 * step, both on GPUs, where every lane of a work-item is computed separately, and on CPUs, where a chain is
 * one vector. The store keeps the compiler from removing the chains. */
__kernel void peak_fma(OUT(float, out), const int rounds, const float factor, const float term)
{
    AT(out);
    const float x = (float)(get_global_id(0) % 256);
    float8 a = (float8)(x, x + 1.0f, x + 2.0f, x + 3.0f, x + 4.0f, x + 5.0f, x + 6.0f, x + 7.0f);
    float8 b = a + 8.0f, c = a + 16.0f, d = a + 24.0f, e = a + 32.0f;
    float8 f = a + 40.0f, g = a + 48.0f, h = a + 56.0f;
    for (int round = 0; round < rounds; round++) {
        a = mad(a, factor, term);
        b = mad(b, factor, term);
        c = mad(c, factor, term);
        d = mad(d, factor, term);
        e = mad(e, factor, term);
        f = mad(f, factor, term);
        g = mad(g, factor, term);
        h = mad(h, factor, term);
    }
    a += b + c + d + e + f + g + h;
    out[get_global_id(0)] = (a.s0 + a.s1) + (a.s2 + a.s3) + (a.s4 + a.s5) + (a.s6 + a.s7);
}

/* Fills x with numbers other than zero, because devices may be faster with zeros. */
__kernel void peak_fill(OUT(float, x), const int n)
{
    AT(x);
    const int i = (int)get_global_id(0);
    if (i < n) x[i] = (float)(i % 1021) * 0.001f + 0.5f;
}

/* a = b + factor * c for n float4: reads two arrays and writes one. */
__kernel void peak_triad(OUT(float4, a), IN(float4, b), IN(float4, c), const int n, const float factor)
{
    AT(a);
    AT(b);
    AT(c);
    const int i = (int)get_global_id(0);
    if (i < n) a[i] = b[i] + factor * c[i];
}
