/* The training log log.csv: a header line, then one line per record, each flushed at once.
 *
 * A resumed run repeats the iterations after its checkpoint. Opening an existing log therefore first removes
 * the rows beyond `keep_up_to` and a last line that a crash cut short. The shortened log replaces the old one
 * by a rename. */
#include "io/csvlog.h"

#include "engine/base/mem.h"
#include "io/path.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct u3d_csvlog {
    char *path;
    FILE *stream;
    int n_columns;
};

/* Whether a row (without its newline) is kept: its first field must be a number that is at most
 * keep_up_to. */
static bool csvlog_keep(const char *row, int64_t keep_up_to)
{
    char *end = NULL;
    double first = strtod(row, &end);
    return end != row && (*end == ',' || *end == '\0') && first <= (double)keep_up_to;
}

/* Copies the header and the rows to keep from `in` to `out`. */
static u3d_status csvlog_copy(FILE *in, FILE *out, const char *path, const char *columns, int64_t keep_up_to)
{
    char *line = NULL;
    size_t room = 0;
    u3d_status status = U3D_OK;
    for (int64_t n = 0;; n++) {
        ssize_t length = getline(&line, &room, in);
        if (length < 0) break;
        bool whole = length > 0 && line[length - 1] == '\n';
        if (whole) line[--length] = '\0';
        if (n == 0 && strcmp(line, columns) != 0)
            U3D_GO(u3d_fail(U3D_E_FORMAT, "'%s': its columns are '%.200s', expected '%s'; move the file away",
                            path, line, columns));
        if (n == 0 || (whole && csvlog_keep(line, keep_up_to))) fprintf(out, "%s\n", line);
    }
    if (ferror(in)) status = u3d_fail(U3D_E_IO, "read '%s': %s", path, strerror(errno));
done:
    free(line); /* getline allocated it with malloc */
    return status;
}

/* Rewrites an existing, non-empty log without the rows that will be repeated. */
static u3d_status csvlog_shorten(const char *path, const char *columns, int64_t keep_up_to)
{
    u3d_outfile *file = NULL;
    u3d_status status = U3D_OK;
    FILE *in = fopen(path, "rb");
    if (!in) return u3d_fail(U3D_E_IO, "open '%s': %s", path, strerror(errno));
    U3D_GO(u3d_outfile_open(path, &file));
    U3D_GO(csvlog_copy(in, u3d_outfile_stream(file), path, columns, keep_up_to));
    status = u3d_outfile_commit(file);
    file = NULL;
done:
    fclose(in);
    u3d_outfile_abandon(file);
    return status;
}

u3d_status u3d_csvlog_open(const char *path, const char *columns, int64_t keep_up_to, u3d_csvlog **out)
{
    uint64_t bytes = 0;
    u3d_status status = U3D_OK;
    *out = NULL;
    if (u3d_path_exists(path)) U3D_TRY(u3d_path_size(path, &bytes));
    if (bytes > 0) U3D_TRY(csvlog_shorten(path, columns, keep_up_to));
    u3d_csvlog *log = u3d_new(1, sizeof *log);
    if (!log) return U3D_E_NOMEM;
    log->path = u3d_strdup(path);
    if (!log->path) U3D_GO(U3D_E_NOMEM);
    log->n_columns = 1;
    for (const char *p = columns; *p; p++) log->n_columns += *p == ',';
    log->stream = fopen(path, "ab");
    if (!log->stream) U3D_GO(u3d_fail(U3D_E_OUTPUT, "write '%s': %s", path, strerror(errno)));
    if (bytes == 0 && (fprintf(log->stream, "%s\n", columns) < 0 || fflush(log->stream) != 0))
        U3D_GO(u3d_fail(U3D_E_OUTPUT, "write '%s': %s", path, strerror(errno)));
    *out = log;
done:
    if (status != U3D_OK) u3d_csvlog_close(log);
    return status;
}

static void csvlog_field(FILE *f, double value)
{
    /* Whole numbers below 1e15 are written exactly. For others, 9 digits are enough to restore any float. */
    if (isnan(value)) return;
    if (fabs(value) < 1e15 && floor(value) == value)
        fprintf(f, "%.0f", value == 0 ? 0.0 : value); /* no "-0" */
    else
        fprintf(f, "%.9g", value);
}

u3d_status u3d_csvlog_row(u3d_csvlog *log, const double *values, int n)
{
    U3D_ASSERT(n == log->n_columns, "%d values for %d columns of %s", n, log->n_columns, log->path);
    for (int column = 0; column < n; column++) {
        if (column) fputc(',', log->stream);
        csvlog_field(log->stream, values[column]);
    }
    fputc('\n', log->stream);
    if (fflush(log->stream) != 0 || ferror(log->stream))
        return u3d_fail(U3D_E_OUTPUT, "write '%s': %s", log->path, strerror(errno));
    return U3D_OK;
}

void u3d_csvlog_close(u3d_csvlog *log)
{
    if (!log) return;
    if (log->stream) fclose(log->stream);
    u3d_free(log->path);
    u3d_free(log);
}
