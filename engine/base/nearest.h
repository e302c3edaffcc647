/* "Did you mean ...?": which of several known words is spelled most like an unknown one. */
#ifndef U3D_ENGINE_NEAREST_H
#define U3D_ENGINE_NEAREST_H

/* Set `word`, leave the rest 0, and offer each known word to u3d_nearest_try. `best` is then the nearest of
 * them, and the first one of several that are equally near. The distance counts letters to insert, delete or
 * replace; it is 1 if `word` is the beginning of a longer known word. */
typedef struct u3d_nearest {
    const char *word; /* as the user wrote it         */
    const char *best; /* NULL before the first try    */
    int distance;     /* between `word` and `best`    */
} u3d_nearest;

/* `candidate` must outlive n. Letters after the 40th do not count. */
void u3d_nearest_try(u3d_nearest *n, const char *candidate);

#endif
