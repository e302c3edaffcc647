/* Spelling distance between words, for error messages that name the nearest known word.
 *
 * The distance is Levenshtein's: the smallest number of letters to insert, delete or replace. It is computed
 * one row of the table at a time (Wagner & Fischer, "The String-to-String Correction Problem", 1974). */
#include "engine/base/nearest.h"

#include <stddef.h>
#include <string.h>

enum { NEAREST_CAP = 40, ABBREVIATION_LEAST = 2 };

static int nearest_distance(const char *a, const char *b)
{
    int row[NEAREST_CAP + 1];
    const size_t na = strnlen(a, NEAREST_CAP), nb = strnlen(b, NEAREST_CAP);
    for (size_t j = 0; j <= nb; j++) row[j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[nb];
}

void u3d_nearest_try(u3d_nearest *n, const char *candidate)
{
    const size_t length = strlen(n->word);
    int distance = nearest_distance(n->word, candidate);
    if (distance > 1 && length >= ABBREVIATION_LEAST && strncmp(n->word, candidate, length) == 0)
        distance = 1;
    if (n->best && distance >= n->distance) return;
    n->best = candidate;
    n->distance = distance;
}
