/* "Did you mean ...?": which of several known words is spelled most like an unknown one. */
#ifndef U3D_ENGINE_NEAREST_H
#define U3D_ENGINE_NEAREST_H

/* Set `word`, leave the rest 0, and offer each known word to u3d_nearest_try. */
typedef struct u3d_nearest {
    const char *word; /* as the user wrote it */
    const char *best; /* the nearest word so far, the first of several equally near; NULL before the first try */
    int distance;     /* of `best`: letters to insert, delete or replace; 1 if `word` is the beginning of `best` */
} u3d_nearest;

/* `candidate` must outlive n. Letters after the 40th do not count. */
void u3d_nearest_try(u3d_nearest *n, const char *candidate);

#endif
