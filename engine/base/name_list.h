/* A list of names for a message: 'a', 'b' and 12 more. */
#ifndef U3D_BASE_NAME_LIST_H
#define U3D_BASE_NAME_LIST_H

#include <stddef.h>

/* Start with zeros. */
typedef struct u3d_name_list {
    char text[400];
    size_t used;
    int n, omitted; /* names that were added; those of them that are not in the text */
} u3d_name_list;

void u3d_name_list_add(u3d_name_list *l, const char *name);
/* The text, which is valid until the next name is added. */
const char *u3d_name_list_text(u3d_name_list *l);

#endif
