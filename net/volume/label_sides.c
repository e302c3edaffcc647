/* Finds words for directions in the names of labels.
 *
 * A name is first rewritten as words, such as " left kidney 2 " for "LeftKidney2": in lower case, without
 * accents, with one space before, between and after them. A digit right after a single letter stays with it,
 * as in " l#1 " for "L1", which is a vertebra and not a side. Patterns are then plain parts of that text: " l
 * " is a whole word, " left" the beginning of a word, "left " the end of one. */
#include "net/volume/label_sides.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "net/config/config.h"

enum { NAME_BYTES = sizeof(((u3d_labels *)0)->name[0]), WORDS_BYTES = 2 * NAME_BYTES + 8 };

/* Whether a pattern suffices without its partner. */
typedef enum need { ALONE, BOTH } need;

static const struct {
    const char *a, *b;
    int world;
    need need;
} sides_pairs[] = {
    /* English */
    {" left", " right", 0, ALONE},
    {"left ", "right ", 0, BOTH},
    {" l ", " r ", 0, BOTH},
    {" lt ", " rt ", 0, BOTH},
    {" lh ", " rh ", 0, BOTH},
    {" lft ", " rgt ", 0, BOTH},
    /* German, Dutch */
    {" links", " rechts", 0, ALONE},
    {"links ", "rechts ", 0, BOTH},
    {" linke ", " rechte ", 0, ALONE},
    {" linker", " rechter", 0, BOTH},
    {" linkes ", " rechtes ", 0, ALONE},
    {" linken ", " rechten ", 0, ALONE},
    {" li ", " re ", 0, BOTH},
    /* French */
    {" gauche", " droit", 0, ALONE},
    {"gauche ", "droite ", 0, BOTH},
    /* Spanish */
    {" izq", " derech", 0, ALONE},
    {" izq", " der ", 0, BOTH},
    {" izd", " dch", 0, ALONE},
    /* Italian, Latin */
    {" sinistr", " destra ", 0, ALONE},
    {" sinistr", " destro ", 0, ALONE},
    {" sinistr", " destri ", 0, ALONE},
    {" sinistr", " destre ", 0, ALONE},
    {" sinister ", " dexter ", 0, ALONE},
    {" sinistr", " dextra ", 0, ALONE},
    {" sinistr", " dextrum ", 0, ALONE},
    {" sx ", " dx ", 0, BOTH},
    {" sin ", " dx ", 0, BOTH},
    {" sin ", " dex ", 0, BOTH},
    {" sin ", " dxt ", 0, BOTH},
    /* Portuguese, Catalan */
    {" esquerd", " direit", 0, ALONE},
    {" esq ", " dir ", 0, BOTH},
    {" esquerr", " dret", 0, ALONE},
    /* Swedish, Danish, Norwegian, Finnish */
    {" vanster ", " hoger ", 0, ALONE},
    {" vanstra ", " hogra ", 0, ALONE},
    {" venstre ", " hojre ", 0, ALONE},
    {" venstre ", " hoyre ", 0, ALONE},
    {" vasen ", " oikea ", 0, ALONE},
    {" vasemman ", " oikean ", 0, ALONE},
    /* Polish, Czech, transliterated Russian */
    {" lewy ", " prawy ", 0, ALONE},
    {" lewa ", " prawa ", 0, ALONE},
    {" lewe ", " prawe ", 0, ALONE},
    {" levy ", " pravy ", 0, ALONE},
    {" leva ", " prava ", 0, ALONE},
    {" leve ", " prave ", 0, ALONE},
    {" levaya ", " pravaya ", 0, ALONE},
    /* Romanian, Turkish, Hungarian, Indonesian, Vietnamese */
    {" stang", " drept", 0, BOTH},
    {" stang", " dreapt", 0, BOTH},
    {" sol ", " sag ", 0, BOTH},
    {" bal ", " jobb ", 0, BOTH},
    {" kiri ", " kanan ", 0, ALONE},
    {" trai ", " phai ", 0, BOTH},
    /* Russian, Ukrainian, Greek */
    {" лев", " прав", 0, ALONE},
    {" лів", " прав", 0, ALONE},
    {" αριστερ", " δεξι", 0, ALONE},
    /* Chinese, Japanese, Korean */
    {"左", "右", 0, ALONE},
    {"왼", "오른", 0, ALONE},
    {"좌측", "우측", 0, ALONE},
    {" 좌", " 우", 0, BOTH},
    {"ひだり", "みぎ", 0, ALONE},
    /* Arabic, Hebrew, Hindi, Thai */
    {"يسر", "يمن", 0, ALONE},
    {"يسار", "يمين", 0, ALONE},
    {"שמאל", "ימין", 0, ALONE},
    {"שמאל", "ימני", 0, ALONE},
    {"बाय", "दाय", 0, ALONE},
    {"ซ้าย", "ขวา", 0, ALONE},
    /* the other axes */
    {" anterior", " posterior", 1, BOTH},
    {" ant ", " post ", 1, BOTH},
    {" ventral", " dorsal", 1, BOTH},
    {" front ", " back ", 1, BOTH},
    {" anterieur", " posterieur", 1, BOTH},
    {" vorder", " hinter", 1, BOTH},
    {" vorne ", " hinten ", 1, BOTH},
    {"前", "后", 1, BOTH},
    {"前", "後", 1, BOTH},
    {" superior", " inferior", 2, BOTH},
    {" sup ", " inf ", 2, BOTH},
    {" upper ", " lower ", 2, BOTH},
    {" cranial", " caudal", 2, BOTH},
    {" top ", " bottom ", 2, BOTH},
    {" proximal", " distal", 2, BOTH},
    {" superieur", " inferieur", 2, BOTH},
    {" ober", " unter", 2, BOTH},
    {" oben ", " unten ", 2, BOTH},
    {"上", "下", 2, BOTH},
};

/* Words that contain a word for a side and mean something else. */
static const char *const sides_other[] = {" leftover"};

/* Pairs that count only in two names that are otherwise alike, such as "rein_g" and "rein_d". */
static const char *const sides_twins[][2] = {{"g", "d"}, {"s", "d"}, {"i", "d"}, {"e", "d"}};

/* ---- letters ---- */

/* Decodes one character of UTF-8 and moves *at past it. A byte that is not UTF-8 stands for itself, as in
 * Latin-1. */
static uint32_t letter_next(const char **at)
{
    const unsigned char *p = (const unsigned char *)*at;
    const int more = p[0] >= 0xf0 && p[0] < 0xf5   ? 3
                     : p[0] >= 0xe0 && p[0] < 0xf0 ? 2
                     : p[0] >= 0xc2 && p[0] < 0xe0 ? 1
                                                   : 0;
    uint32_t c = more == 3 ? p[0] & 7u : more == 2 ? p[0] & 15u : more == 1 ? p[0] & 31u : p[0];
    for (int i = 1; i <= more; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            ++*at;
            return p[0];
        }
        c = c << 6 | (p[i] & 0x3f);
    }
    *at += 1 + more;
    return c;
}

/* Takes the accent off a Latin letter, and makes full-width letters normal ones. Combining accents become
 * 0. */
static uint32_t letter_plain(uint32_t c)
{
    static const char latin1[] = "AAAAAAACEEEEIIIIDNOOOOO OUUUUYTsaaaaaaaceeeeiiiidnooooo ouuuuyty";
    static const char extended[] = "AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIiIiJjKkkLlLlLlLlLl"
                                   "NnNnNnnNnOoOoOoOoRrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs";
    if (c >= 0xc0 && c <= 0xff) return (unsigned char)latin1[c - 0xc0];
    if (c >= 0x100 && c <= 0x17f) return (unsigned char)extended[c - 0x100];
    if (c >= 0xff01 && c <= 0xff5e) return c - 0xfee0;
    return c >= 0x300 && c <= 0x36f ? 0 : c;
}

static bool letter_is_upper(uint32_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 0x391 && c <= 0x3a9) || (c >= 0x410 && c <= 0x42f);
}

typedef enum letter_kind { GAP, DIGIT, LOWER, UPPER, IDEOGRAM } letter_kind;

static letter_kind letter_kind_of(uint32_t c)
{
    if (c >= '0' && c <= '9') return DIGIT;
    if (c < 0x80) return letter_is_upper(c) ? UPPER : isalpha((int)c) ? LOWER : GAP;
    if (c < 0xc0 || (c >= 0x2000 && c < 0x2070) || (c >= 0x3000 && c < 0x3040)) return GAP;
    return letter_is_upper(c) ? UPPER : c >= 0x2e80 ? IDEOGRAM : LOWER;
}

static size_t letter_put(uint32_t c, char *to)
{
    if (letter_is_upper(c)) c += 32;
    if (c < 0x80) return (size_t)snprintf(to, 2, "%c", (char)c);
    if (c < 0x800) return (size_t)snprintf(to, 3, "%c%c", (char)(0xc0 | c >> 6), (char)(0x80 | (c & 63)));
    if (c < 0x10000)
        return (size_t)snprintf(to, 4, "%c%c%c", (char)(0xe0 | c >> 12), (char)(0x80 | (c >> 6 & 63)),
                                (char)(0x80 | (c & 63)));
    return (size_t)snprintf(to, 5, "%c%c%c%c", (char)(0xf0 | c >> 18), (char)(0x80 | (c >> 12 & 63)),
                            (char)(0x80 | (c >> 6 & 63)), (char)(0x80 | (c & 63)));
}

/* ---- words ---- */

/* Whether a new word begins with a letter of kind `now`, after one of kind `before` and before one of kind
 * `next`. In a run of capitals, the last one belongs to the small letters after it: "LKidney". */
static bool word_begins(letter_kind before, letter_kind now, letter_kind next)
{
    if (now == LOWER) return before != LOWER && before != UPPER;
    if (now == UPPER) return before != UPPER || next == LOWER;
    return before != now;
}

/* Writes the words of a name; see the head of this file. */
static void words_of(const char *name, char words[WORDS_BYTES])
{
    letter_kind before = GAP;
    size_t n = 0, first = 0; /* `first`: where the current word begins */
    for (const char *at = name; *at && n + 8 < WORDS_BYTES;) {
        const uint32_t c = letter_plain(letter_next(&at));
        if (c == 0) continue;
        const char *ahead = at;
        const letter_kind now = letter_kind_of(c),
                          next = *at ? letter_kind_of(letter_plain(letter_next(&ahead))) : GAP;
        if (now != GAP) {
            if (now == DIGIT && (before == UPPER || before == LOWER) && n == first + 1)
                words[n++] = '#';
            else if (word_begins(before, now, next))
                words[n++] = ' ', first = n;
            n += letter_put(c, words + n);
        }
        before = now;
    }
    words[n++] = ' ';
    words[n] = '\0';
    for (size_t i = 0; i < sizeof sides_other / sizeof sides_other[0]; i++) {
        char *other = strstr(words, sides_other[i]);
        if (other) other[1] = '#';
    }
}

/* Whether the name begins or ends with the word (digits may follow), and has another word of three letters.
 */
static bool words_lone(const char *words, const char *word)
{
    const char *at = strstr(words, word);
    if (!at) return false;
    const bool last = strspn(at + strlen(word), " 0123456789") == strlen(at + strlen(word));
    if (at != words && !last) return false;
    for (const char *p = words; *p; p += strspn(p, " ")) {
        const size_t letters = strcspn(p, " #0123456789");
        if (letters >= 3) return true;
        p += strcspn(p, " ");
    }
    return false;
}

/* ---- twins: two names that are alike except for the side ---- */

/* The letters of the words without gaps; digits count only if there are fewer than three letters. edge[i]
 * says whether letter i begins or ends a word. */
static size_t twin_key(const char *words, char *key, bool *edge)
{
    size_t letters = 0, n = 0;
    for (const char *p = words; *p; p++) letters += *p != ' ' && *p != '#' && !isdigit((unsigned char)*p);
    for (const char *p = words; *p; p++) {
        if (*p == ' ' || *p == '#' || (letters >= 3 && isdigit((unsigned char)*p))) continue;
        edge[n] = p[-1] == ' ' || strchr(" #", p[1]) != NULL; /* words[0] is a space */
        key[n++] = *p;
    }
    return n;
}

/* Whether two names differ only in an l and an r at the edge of a word. */
static bool twin_letters(const char *a, const char *b)
{
    char key[2][WORDS_BYTES];
    bool edge[2][WORDS_BYTES];
    const size_t n = twin_key(a, key[0], edge[0]);
    if (n != twin_key(b, key[1], edge[1])) return false;
    int differ = 0;
    bool side = false;
    for (size_t i = 0; i < n; i++) {
        const char x = key[0][i], y = key[1][i];
        if (x == y) continue;
        differ++;
        side = ((x == 'l' && y == 'r') || (x == 'r' && y == 'l')) && (edge[0][i] || edge[1][i]);
    }
    return differ == 1 && side;
}

/* The one word in which two names differ. Returns false unless there is exactly one. */
static bool twin_word(const char *a, const char *b, const char **x, const char **y)
{
    int differ = 0;
    while (*++a && *++b) {
        const size_t n = strcspn(a, " "), m = strcspn(b, " ");
        if (n != m || memcmp(a, b, n) != 0) {
            differ++;
            *x = a;
            *y = b;
        }
        a += n;
        b += m;
        if (!a[1] != !b[1]) return false;
    }
    return differ == 1;
}

static bool word_is(const char *at, const char *word)
{
    return strncmp(at, word, strlen(word)) == 0 && at[strlen(word)] == ' ';
}

/* Whether names i and j differ only in a pair of sides_twins, and no third name fits the series, as it would
 * if d and g were two of the letters a, b, c, ... */
static bool twin_abbreviated(const char (*words)[WORDS_BYTES], int n, int i, int j)
{
    const char *x, *y, *unused;
    bool side = false;
    if (!twin_word(words[i], words[j], &x, &y)) return false;
    for (size_t t = 0; t < sizeof sides_twins / sizeof sides_twins[0]; t++) {
        const char *const *pair = sides_twins[t];
        side |= (word_is(x, pair[0]) && word_is(y, pair[1])) || (word_is(x, pair[1]) && word_is(y, pair[0]));
    }
    for (int k = 0; side && k < n; k++)
        if (k != i && k != j && twin_word(words[i], words[k], &x, &unused) &&
            isalpha((unsigned char)unused[0]) && unused[1] == ' ')
            return false;
    return side;
}

/* ---- all names ---- */

static int first_with(const char (*words)[WORDS_BYTES], int n, const char *pattern)
{
    for (int i = 0; i < n; i++)
        if (strstr(words[i], pattern)) return i;
    return -1;
}

/* Index of a label whose name refers to an end of world axis w; -1 if there is none. */
static int told_by_words(const char (*words)[WORDS_BYTES], int n, int w)
{
    for (size_t i = 0; i < sizeof sides_pairs / sizeof sides_pairs[0]; i++) {
        if (sides_pairs[i].world != w) continue;
        const int a = first_with(words, n, sides_pairs[i].a), b = first_with(words, n, sides_pairs[i].b);
        if ((a >= 0 && b >= 0) || sides_pairs[i].need == ALONE) {
            if (a >= 0 || b >= 0) return a >= 0 ? a : b;
        }
    }
    return -1;
}

static int told_by_letters(const char (*words)[WORDS_BYTES], int n)
{
    for (int i = 0; i < n; i++) {
        if (words_lone(words[i], " l ") || words_lone(words[i], " r ")) return i;
        for (int j = 0; j < i; j++)
            if (twin_letters(words[i], words[j]) || twin_abbreviated(words, n, i, j)) return j;
    }
    return -1;
}

bool u3d_labels_told_axes(const u3d_labels *l, const char *told[3])
{
    char words[U3D_MAX_LABELS][WORDS_BYTES];
    for (int i = 0; i < l->n; i++) words_of(l->name[i], words[i]);
    const char(*all)[WORDS_BYTES] = (const char(*)[WORDS_BYTES])words;
    for (int w = 0; w < 3; w++) {
        int by = told_by_words(all, l->n, w);
        if (by < 0 && w == 0) by = told_by_letters(all, l->n);
        told[w] = by < 0 ? NULL : l->name[by];
    }
    return told[0] || told[1] || told[2];
}
