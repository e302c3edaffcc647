/* Reorders an array with three axes: to[i0, i1, i2] = from[at + i0 * s0 + i1 * s1 + i2 * s2]. A negative step
 * reads an axis from its end. With ADD the elements are added to `to`. */
__kernel void permute(IN(float, from), OUT(float, to), const int n0, const int n1, const int n2, const int at,
                      const int s0, const int s1, const int s2)
{
    AT(from);
    AT(to);
    const int i = (int)get_global_id(0), i2 = i % n2, i1 = i / n2 % n1, i0 = i / (n1 * n2);
    if (i0 < n0) STORE(to[i], from[at + i0 * s0 + i1 * s1 + i2 * s2]);
}
