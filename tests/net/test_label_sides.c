/* Tests of net/volume/label_sides.h: which label names refer to an end of an axis. */
#include "tests/support/support.h"

#include <string.h>

#include "net/volume/label_sides.h"

enum { MOST_NAMES = 6 };

typedef struct trial {
    const char *axes; /* the world axes that are told apart: any of "xyz" */
    const char *name[MOST_NAMES];
} trial;

static const trial trials[] = {
    /* left and right: one name is enough */
    {"x", {"LeftKidney", "liver"}},
    {"x", {"RightKidney"}},
    {"x", {"Left Lung", "Right Lung"}},
    {"x", {"leftkidney", "liver"}},
    {"x", {"kidneyleft", "kidneyright"}},
    {"x", {"kidneyLeft2", "liver"}},
    {"x", {"KIDNEY_LEFT"}},
    {"x", {"kidney.left.cortex"}},
    {"x", {"Left-Hippocampus", "Right-Hippocampus"}},
    {"x", {"Niere links", "Leber"}},
    {"x", {"linke Niere"}},
    {"x", {"Rechte_Niere"}},
    {"x", {"rein gauche", "foie"}},
    {"x", {"rein_droit"}},
    {"x", {"ri\303\261\303\263n izquierdo"}},
    {"x", {"pulmon derecho"}},
    {"x", {"rene sinistro"}},
    {"x", {"rene destro", "fegato"}},
    {"x", {"rim esquerdo"}},
    {"x", {"V\303\244nster njure"}},
    {"x", {"Va\314\210nster njure"}}, /* the accent as a character of its own */
    {"x", {"h\303\270jre nyre"}},
    {"x", {"H\366ger njure"}}, /* Latin-1 */
    {"x", {"nerka lewa"}},
    {"x",
     {"\320\233\320\265\320\262\320\260\321\217 \320\277\320\276\321\207\320\272\320\260"}}, /* Russian */
    {"x", {"\345\267\246\350\202\276"}},                                                     /* Chinese */
    {"x", {"kidney\345\217\263"}},
    {"x", {"\354\231\274\354\252\275 \354\213\240\354\236\245"}}, /* Korean */
    {"x", {"\357\274\254\357\275\205\357\275\206\357\275\224"}},  /* full-width Left */
    /* single letters */
    {"x", {"kidney_l", "liver"}},
    {"x", {"L_Kidney", "liver"}},
    {"x", {"LKidney"}},
    {"x", {"kidneyR", "liver"}},
    {"x", {"kidney_r_2"}},
    {"x", {"lkid", "rkid"}},
    {"x", {"rkid", "liver", "lkid"}},
    {"x", {"kidl", "kidr"}},
    {"x", {"LKID", "R_KID"}},
    {"x", {"LV", "RV", "MYO"}},
    {"x", {"L", "R"}},
    {"x", {"kidneyL2", "kidneyR2"}},
    {"x", {"rib_L1", "rib_R2"}},
    {"x", {"4L", "4R"}},
    {"x", {"lh_cortex", "rh_cortex"}},
    {"x", {"rein_g", "rein_d"}},
    {"x", {"rene sx", "rene dx"}},
    {"x", {"linkernier", "rechternier"}},
    {"x", {"\354\242\214\354\213\240", "\354\232\260\354\213\240"}}, /* Korean abbreviations */
    /* no side */
    {"", {"lung", "rectum"}},
    {"", {"lesion", "R2"}},
    {"", {"liver", "rectum", "tumor"}},
    {"", {"L1", "R2"}},
    {"", {"vertebrae_L1", "vertebrae_T12", "vertebrae_L5"}},
    {"", {"R2star", "T1"}},
    {"", {"bright", "cell"}},
    {"", {"leftovers"}},
    {"", {"upright"}},
    {"", {"synaptic cleft", "vesicle"}},
    {"", {"part_c", "part_d", "part_e", "part_f", "part_g"}},
    {"", {"lumen", "wall"}},
    {"", {"", ""}},
    {"", {"ant", "bee"}},
    {"", {"upper"}},
    {"", {"dextran"}},
    {"", {"linker region"}},
    {"", {"Rechteck"}},
    /* the other axes need both words */
    {"y", {"Anterior", "Posterior"}},
    {"y", {"partie ant\303\251rieure", "partie post\303\251rieure"}},
    {"z", {"jawUpper", "jawLower"}},
    {"z", {"cranial part", "caudal part"}},
    {"xz", {"Frontal_Sup_L", "Frontal_Inf_L"}},
};

static void test_names(void **state)
{
    (void)state;
    static u3d_labels l;
    for (size_t t = 0; t < sizeof trials / sizeof trials[0]; t++) {
        const char *told[3];
        char found[4] = "";
        size_t n = 0;
        memset(&l, 0, sizeof l);
        for (; l.n < MOST_NAMES && trials[t].name[l.n]; l.n++) {
            l.value[l.n] = l.n + 1;
            (void)snprintf(l.name[l.n], sizeof l.name[0], "%s", trials[t].name[l.n]);
        }
        assert_true(u3d_labels_told_axes(&l, told) == (*trials[t].axes != '\0'));
        for (int w = 0; w < 3; w++)
            if (told[w]) found[n++] = "xyz"[w];
        if (strcmp(found, trials[t].axes) != 0)
            fail_msg("%s, %s: found '%s', expected '%s'", l.name[0], l.name[1], found, trials[t].axes);
    }
}

/* A name as long as the table allows, every letter of which begins a word, and broken UTF-8. */
static void test_long_names(void **state)
{
    (void)state;
    static u3d_labels l;
    const char *told[3];
    l.n = 2;
    for (size_t i = 0; i + 1 < sizeof l.name[0]; i++) {
        l.name[0][i] = i % 2 ? 'b' : 'A';
        l.name[1][i] = (char)(i % 2 ? 0xe5 : 0xb7);
    }
    assert_false(u3d_labels_told_axes(&l, told));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_long_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
