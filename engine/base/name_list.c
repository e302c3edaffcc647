/* Lists names for a message, see name_list.h. */
#include "engine/base/name_list.h"

#include <stdio.h>
#include <string.h>

void u3d_name_list_add(u3d_name_list *l, const char *name)
{
    const size_t longest = sizeof l->text - 40; /* leaves space for "and 12 more" */
    l->n++;
    if (l->omitted > 0 || l->used + strlen(name) + 4 > longest)
        l->omitted++;
    else
        l->used += (size_t)snprintf(l->text + l->used, sizeof l->text - l->used, "%s'%s'",
                                    l->used ? ", " : "", name);
}

const char *u3d_name_list_text(u3d_name_list *l)
{
    if (l->omitted > 0)
        (void)snprintf(l->text + l->used, sizeof l->text - l->used, "%s%d more", l->used ? " and " : "",
                       l->omitted);
    return l->text;
}
