/* Which directions the names of labels tell apart. A network that sees mirrored patches cannot learn to tell
 * left_kidney from right_kidney, so training must not mirror along an axis that label names refer to. */
#ifndef U3D_NET_LABEL_SIDES_H
#define U3D_NET_LABEL_SIDES_H

#include "net/volume/labels.h"

/* For each world axis w (0 left to right, 1 posterior to anterior, 2 inferior to superior), sets told[w] to
 * the name of a label that refers to one end of the axis, or to NULL if there is none. Returns whether any is
 * set.
 *
 * Names are split at everything but letters, at digits, and where lower case is followed by upper case:
 * "kidneyLeft2", "L_Kidney" and "Niere links" each contain a word for a side. Accents and case do not count.
 *
 *   left, right      one name suffices, in the languages that label_sides.c lists, because most organs that
 *                    have a side have a twin on the other side, labelled or not
 *   l, r             one name suffices if it begins or ends with the letter and has another word of three or
 *                    more letters (kidney_l); otherwise two names are needed, one with each letter
 *   lkid, rkid       two names that differ only in an l and an r at the beginning or end of a word
 *   abbreviations    and words for the other axes count only if both words of the pair occur */
bool u3d_labels_told_axes(const u3d_labels *l, const char *told[3]);

#endif
