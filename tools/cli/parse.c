/* Parsing of the command line through popt.
 *
 * Options of every command may stand before or after the command's word. So that word is found first; then
 * the line without it is parsed with the command's own options and those of every command (option_at) in one
 * popt table, whose rows point into the caller's `args`. */
#include "tools/cli/parse.h"

#include <popt.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "tools/cli/help.h"

/* The option of every command that a whole word stands for: "--threads", "-q", but not "--threads=2". */
static const option *global_option(const char *word)
{
    const option *o;
    if (strncmp(word, "--", 2) == 0) return option_find(NULL, word + 2, strlen(word + 2));
    if (word[0] != '-' || !word[1] || word[2]) return NULL;
    for (int i = 0; (o = option_at(NULL, i)) != NULL; i++)
        if (o->letter == word[1]) return o;
    return NULL;
}

/* Index of the command's word: the first one that is neither an option nor the separate value of an option of
 * every command; 0 if there is no such word. */
static int command_index(int argc, const char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') return i;
        const option *o = global_option(argv[i]);
        if (o && (o->kind == OPTION_TEXT || o->kind == OPTION_LIST)) i++;
    }
    return 0;
}

/* "u3d" or "u3d train", for messages. The caller frees it. */
static char *program_name(const command *c)
{
    return u3d_format("u3d%s%s", c ? " " : "", c ? c->name : "");
}

/* ---- popt ---- */

static unsigned popt_kind(option_kind kind)
{
    switch (kind) {
    case OPTION_FLAG: return POPT_ARG_NONE;
    case OPTION_TEXT:
    case OPTION_MAYBE: return POPT_ARG_STRING;
    case OPTION_LIST: return POPT_ARG_ARGV;
    }
    return POPT_ARG_NONE;
}

static struct poptOption *popt_table(const command *c, args *a)
{
    const option *o;
    int n = 0;
    while (option_at(c, n)) n++;
    struct poptOption *table = u3d_new((size_t)n + 1, sizeof *table); /* a row of zeros ends it */
    for (int i = 0; table && (o = option_at(c, i)) != NULL; i++)
        table[i] = (struct poptOption){.longName = o->name,
                                       .shortName = o->letter,
                                       .argInfo = popt_kind(o->kind),
                                       .arg = (char *)a + o->offset};
    return table;
}

/* The option with an optional value that a whole word stands for: "--help", but not "--help=all". */
static const option *maybe_option(const command *c, const char *word)
{
    const option *o = global_option(word);
    if (!o && c && strncmp(word, "--", 2) == 0) o = option_find(c, word + 2, strlen(word + 2));
    return o && o->kind == OPTION_MAYBE ? o : NULL;
}

/* Whether the word after an option with an optional value is that value. A command's own option may have it
 * there if the command accepts no other words. */
static bool is_maybe_value(const command *c, const option *o, const char *next)
{
    return next && next[0] != '-' && c && !c->rest && !option_find(NULL, o->name, strlen(o->name));
}

/* The line without the command's word. popt would take the next word as the value of an option whose value is
 * missing, so such an option gets its value here, which may be empty: "--help" becomes "--help=". */
static u3d_status popt_words(const command *c, int argc, const char **argv, int command_at, char ***words,
                             int *n)
{
    *n = 0;
    *words = u3d_new((size_t)argc + 1, sizeof **words);
    if (!*words) return U3D_E_NOMEM;
    for (int i = 0; i < argc; i++) {
        const option *o = i ? maybe_option(c, argv[i]) : NULL;
        if (i && i == command_at) continue;
        const bool value = o && i + 1 < argc && i + 1 != command_at && is_maybe_value(c, o, argv[i + 1]);
        char *word = o ? u3d_format("--%s=%s", o->name, value ? argv[++i] : "") : u3d_strdup(argv[i]);
        if (!word) return U3D_E_NOMEM;
        (*words)[(*n)++] = word;
    }
    return U3D_OK;
}

static void words_free(char **words, int n)
{
    for (int i = 0; i < n; i++) u3d_free(words[i]);
    u3d_free(words);
}

static u3d_status popt_failure(const command *c, poptContext context, int code)
{
    const char *bad = poptBadOption(context, POPT_BADOPTION_NOALIAS);
    char *who = program_name(c), *name = u3d_strdup(bad + strspn(bad, "-"));
    u3d_status status = U3D_E_NOMEM;
    if (who && name) {
        name[strcspn(name, "=")] = '\0';
        if (code == POPT_ERROR_BADOPT)
            status = u3d_fail(
                U3D_E_ARG, "%s: unknown option '%s'; did you mean '--%s'? `%s --help=all` lists all options",
                who, bad, option_nearest(c, name), who);
        else
            status = u3d_fail(U3D_E_ARG, "%s: %s: %s; see `%s --help`", who, bad, poptStrerror(code), who);
    }
    u3d_free(who);
    u3d_free(name);
    return status;
}

/* Copies the words after the options, because popt frees its own copies with its context. */
static u3d_status rest_take(const command *c, const char *const *words, args *a)
{
    int n = 0;
    while (words && words[n]) n++;
    const bool any_number = c && c->rest && strstr(c->rest, "...");
    const int most = !c || !c->rest ? 0 : any_number ? n : 1;
    if (n > most) {
        char *who = program_name(c);
        u3d_status status =
            who ? u3d_fail(U3D_E_ARG, "%s: unexpected '%s'; see `%s --help`", who, words[most], who)
                : U3D_E_NOMEM;
        u3d_free(who);
        return status;
    }
    a->rest = u3d_new((size_t)n + 1, sizeof *a->rest);
    for (; a->rest && a->n_rest < n; a->n_rest++)
        if (!(a->rest[a->n_rest] = u3d_strdup(words[a->n_rest]))) return U3D_E_NOMEM;
    return a->rest ? U3D_OK : U3D_E_NOMEM;
}

static u3d_status popt_parse(const command *c, int argc, const char **argv, int command_at, args *a)
{
    u3d_status status = U3D_OK;
    int n = 0;
    char **words = NULL;
    poptContext context = NULL;
    struct poptOption *table = popt_table(c, a);
    if (!table) U3D_GO(U3D_E_NOMEM);
    U3D_GO(popt_words(c, argc, argv, command_at, &words, &n));
    context = poptGetContext("u3d", n, (const char **)words, table, 0);
    if (!context) U3D_GO(u3d_fail(U3D_E_NOMEM, "reading the command line: out of memory"));
    const int code = poptGetNextOpt(context);
    if (code < -1) U3D_GO(popt_failure(c, context, code));
    U3D_GO(rest_take(c, poptGetArgs(context), a));
done:
    poptFreeContext(context);
    words_free(words, n);
    u3d_free(table);
    return status;
}

/* ---- the whole line ---- */

u3d_status args_parse(int argc, const char **argv, args *a, const command **which)
{
    const command *c = NULL;
    const int at = command_index(argc, argv);
    *which = NULL;
    if (at) U3D_TRY(command_find(argv[at], &c));
    U3D_TRY(popt_parse(c, argc, argv, at, a));
    if (a->help) return help_print(c, a->help, a->json);
    if (a->version) {
        printf("u3d %s\n", u3d_version);
        return U3D_OK;
    }
    if (!c) return u3d_fail(U3D_E_ARG, "u3d: no command given; `u3d --help` lists all commands");
    *which = c;
    return U3D_OK;
}

/* Frees the value of an option; popt has allocated it with malloc. Commands share members of `args`, so each
 * is set to NULL when it is freed. */
static void option_done(const option *o, args *a)
{
    void *at = (char *)a + o->offset;
    char **text = at, ***list = at;
    switch (o->kind) {
    case OPTION_FLAG: break;
    case OPTION_TEXT:
    case OPTION_MAYBE:
        free(*text);
        *text = NULL;
        break;
    case OPTION_LIST:
        for (int i = 0; *list && (*list)[i]; i++) free((*list)[i]);
        free(*list);
        *list = NULL;
        break;
    }
}

void args_done(args *a)
{
    const option *o;
    for (const command *c = commands; c->name; c++)
        for (int i = 0; (o = option_at(c, i)) != NULL; i++) option_done(o, a);
    words_free(a->rest, a->n_rest);
}
