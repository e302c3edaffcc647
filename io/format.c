/* The table of formats, and the way from the name of a file to its format.
 *
 * A format is one file with a reader, a probe and a writer, and one row of the table. */
#include "io/format.h"

#include "io/nifti.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef enum ending_use {
    SINGLE, /* the file is the volume                            */
    HEADER, /* the first file of a pair, which stands for both   */
    VOXELS  /* the second file of a pair                         */
} ending_use;

enum { MAX_ENDINGS = 8, TEXT_CAP = 256 };

typedef struct format {
    struct {
        const char *text;
        ending_use use;
        bool written;
    } ending[MAX_ENDINGS];
    u3d_status (*read)(const char *path, u3d_volume_kind kind, u3d_volume **out);
    u3d_status (*probe)(const char *path, u3d_volume **out);
    u3d_status (*hash)(const char *path, char text[24]);
    u3d_status (*write)(const char *path, const u3d_volume *v);
} format;

/* clang-format off */
static const format formats[] = {
    {.ending = {{".nii.gz", SINGLE, true}, {".nii", SINGLE, true},
                {".hdr", HEADER, false}, {".hdr.gz", HEADER, false},
                {".img", VOXELS, false}, {".img.gz", VOXELS, false}},
     .read = u3d_nifti_read, .probe = u3d_nifti_probe, .hash = u3d_nifti_hash, .write = u3d_nifti_write},
};
/* clang-format on */

enum { N_FORMATS = sizeof formats / sizeof *formats };

bool u3d_format_ends(const char *path, const char *ending, size_t *stem)
{
    const size_t length = strlen(path), tail = strlen(ending);
    if (length <= tail || strcasecmp(path + length - tail, ending) != 0) return false;
    if (path[length - tail - 1] == '/') return false;
    *stem = length - tail;
    return true;
}

/* Finds the row and the column of a name's ending. */
static const format *format_find(const char *path, size_t *stem, int *ending)
{
    for (int row = 0; row < N_FORMATS; row++)
        for (*ending = 0; *ending < MAX_ENDINGS && formats[row].ending[*ending].text; ++*ending)
            if (u3d_format_ends(path, formats[row].ending[*ending].text, stem)) return &formats[row];
    *stem = strlen(path);
    return NULL;
}

bool u3d_format_is_name(const char *path, size_t *stem)
{
    int ending;
    return format_find(path, stem, &ending) != NULL;
}

bool u3d_format_is_listed(const char *path, size_t *stem)
{
    int ending;
    const format *f = format_find(path, stem, &ending);
    return f && f->ending[ending].use != VOXELS;
}

bool u3d_format_is_written(const char *path, size_t *stem)
{
    int ending;
    const format *f = format_find(path, stem, &ending);
    return f && f->ending[ending].written;
}

bool u3d_format_is_pair(const char *path)
{
    size_t stem;
    int ending;
    const format *f = format_find(path, &stem, &ending);
    return f && f->ending[ending].use != SINGLE;
}

const char *u3d_format_listed(const char *text)
{
    for (int row = 0; row < N_FORMATS; row++)
        for (int i = 0; i < MAX_ENDINGS && formats[row].ending[i].text; i++) {
            const char *ending = formats[row].ending[i].text;
            if (formats[row].ending[i].use != VOXELS && strcasecmp(text, ending + (*text != '.')) == 0)
                return ending;
        }
    return NULL;
}

/* ---- texts for messages ---- */

static pthread_once_t text_once = PTHREAD_ONCE_INIT;
static char text_listed[TEXT_CAP], text_written[TEXT_CAP];

/* Appends an ending to a list such as ".nii.gz, .nii". */
static void text_add(char text[TEXT_CAP], const char *ending)
{
    const size_t used = strlen(text);
    (void)snprintf(text + used, TEXT_CAP - used, "%s%s", used ? ", " : "", ending);
}

static void text_make(void)
{
    for (int row = 0; row < N_FORMATS; row++)
        for (int i = 0; i < MAX_ENDINGS && formats[row].ending[i].text; i++) {
            if (formats[row].ending[i].use != VOXELS) text_add(text_listed, formats[row].ending[i].text);
            if (formats[row].ending[i].written) text_add(text_written, formats[row].ending[i].text);
        }
}

const char *u3d_format_listed_text(void)
{
    pthread_once(&text_once, text_make);
    return text_listed;
}

const char *u3d_format_written_text(void)
{
    pthread_once(&text_once, text_make);
    return text_written;
}

/* ---- reading and writing ---- */

/* The format that reads a file. Names with an unknown ending are left to the first format, which looks at the
 * file itself. */
static const format *format_of(const char *path)
{
    size_t stem;
    int ending;
    const format *f = format_find(path, &stem, &ending);
    return f ? f : &formats[0];
}

u3d_status u3d_volume_read(const char *path, u3d_volume_kind kind, u3d_volume **out)
{
    return format_of(path)->read(path, kind, out);
}

u3d_status u3d_volume_probe(const char *path, u3d_volume **out)
{
    return format_of(path)->probe(path, out);
}

u3d_status u3d_volume_hash(const char *path, char text[24])
{
    return format_of(path)->hash(path, text);
}

u3d_status u3d_volume_write(const char *path, const u3d_volume *v)
{
    size_t stem;
    if (!u3d_format_is_written(path, &stem))
        return u3d_fail(U3D_E_ARG, "write '%s': expected a name that ends in one of %s", path,
                        u3d_format_written_text());
    return format_of(path)->write(path, v);
}
