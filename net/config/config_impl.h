/* Private to net/config/: the rows of the settings table, and how their values are read and written as
 * text. */
#ifndef U3D_NET_CONFIG_IMPL_H
#define U3D_NET_CONFIG_IMPL_H

#include "net/config/config.h"

enum { U3D_KEY_TEXT_CAP = 512 }; /* size of a buffer that holds any key's value as text */

typedef enum u3d_key_kind {
    U3D_KEY_INT,    /* int64_t                                                         */
    U3D_KEY_REAL,   /* double                                                          */
    U3D_KEY_RANGE,  /* double[2]; text low,high                                        */
    U3D_KEY_ANGLES, /* double[3], z, y, x; text x,y,z, or one number for all three     */
    U3D_KEY_BOOL,   /* bool; text true or false (also on, off, yes, no, 1, 0)          */
    U3D_KEY_WORD,   /* enum: one of `words`, stored as its position                    */
    U3D_KEY_TEXT,   /* char[count], checked by `check`                                 */
    U3D_KEY_SIZE,   /* int64_t[3], z, y, x; text x, y, z                               */
    U3D_KEY_AXES    /* int32_t[count][3], z, y, x; text x, y, z, one entry per level   */
} u3d_key_kind;

typedef struct u3d_config_key {
    const char *group; /* of this row and those after it up to the next row that names one; NULL: as the row before */
    const char *name;
    u3d_key_kind kind;
    size_t offset;                         /* in u3d_config                                     */
    const char *value;                     /* default, as text                                  */
    double low, high;                      /* numbers: legal values, inclusive                  */
    const char *const *words;              /* WORD: ends with NULL                              */
    const char *const *const *implied;     /* WORD: settings that each word stands for, or NULL */
    size_t count;                          /* TEXT: bytes; AXES: entries                        */
    u3d_status (*check)(const char *text); /* TEXT: whether the text is legal                   */
    const char *help;
} u3d_config_key;

extern const u3d_config_key u3d_config_keys[];
extern const int u3d_config_n_keys;

const u3d_config_key *u3d_config_find_key(const char *name); /* NULL if unknown */

/* Reads a value by the key's kind and range and stores it at `at`. If the value is not legal, `at` keeps
 * its old value, and the message of U3D_E_ARG names the key and says what is legal. */
u3d_status u3d_key_read(const u3d_config_key *key, const char *text, void *at);
/* Writes the value at `at` as text; u3d_key_read makes exactly the same value of it. Returns buf. */
const char *u3d_key_text(const u3d_config_key *key, const void *at, char *buf, size_t cap);

#endif
