/* Tables with comma-separated values, as spreadsheets write them: RFC 4180, with or without a byte order
 * mark, and with any line ends. The training log has a reader and writer of its own (csvlog.h). */
#ifndef U3D_IO_CSV_H
#define U3D_IO_CSV_H

#include <stdio.h>

#include "engine/base/status.h"

typedef struct u3d_csv {
    char *text;  /* the file, cut into cells           */
    char **cell; /* all cells, row after row           */
    int *first;  /* [n + 1]: the first cell of each row */
    int n;       /* rows; empty lines are left out     */
} u3d_csv;

/* Reads a whole table. The caller calls u3d_csv_free, also after a failure. U3D_E_IO. U3D_E_FORMAT: a quote
 * is never closed, or the file is not text. */
u3d_status u3d_csv_read(const char *path, u3d_csv *out);
/* Parses a text; `where` is for messages. */
u3d_status u3d_csv_parse(const char *text, const char *where, u3d_csv *out);
void u3d_csv_free(u3d_csv *t);

int u3d_csv_width(const u3d_csv *t, int row);                    /* number of cells */
const char *u3d_csv_cell(const u3d_csv *t, int row, int column); /* "" if the row is shorter */
int u3d_csv_column(const u3d_csv *t, const char *name);          /* by the first row; -1 if there is none */

/* Writes a cell, quoted if it has to be. */
void u3d_csv_put(FILE *f, const char *text);

#endif
