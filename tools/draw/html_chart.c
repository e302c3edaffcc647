/* Draws a line chart as SVG. A line with more than MOST_POINTS points is cut into at most MOST_POINTS pieces,
 * and each piece is drawn as one point, its mean. Lines with marked points are drawn in full. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/draw/html.h"
#include "tools/draw/html_impl.h"

enum {
    WIDTH = 760,
    HEIGHT = 300,
    LEFT = 60,
    RIGHT = 20,
    TOP = 10,
    BOTTOM = 45,
    MOST_POINTS = 150,
    N_COLORS = 8
};

/* The colours of Okabe and Ito, which colour-blind people can distinguish. */
static const char *const COLORS[N_COLORS] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                             "#e69f00", "#56b4e9", "#000000", "#b8a000"};

typedef struct range {
    double low, high;
} range;

static void range_take(range *r, double v)
{
    r->low = fmin(r->low, v);
    r->high = fmax(r->high, v);
}

/* Distance between the ticks of an axis: about a fifth of the range, as 1, 2 or 5 times a power of ten. */
static double nice_step(range r)
{
    const double rough = (r.high - r.low) / 5, power = pow(10, floor(log10(rough)));
    const double ratio = rough / power;
    return (ratio < 1.5 ? 1 : ratio < 3.5 ? 2 : ratio < 7.5 ? 5 : 10) * power;
}

static double place(double v, range r, double from, double to)
{
    return from + (v - r.low) / (r.high - r.low) * (to - from);
}

static double place_x(double v, range x)
{
    return place(v, x, LEFT, WIDTH - RIGHT);
}

static double place_y(double v, range y)
{
    return place(v, y, HEIGHT - BOTTOM, TOP);
}

static void axes(FILE *f, range x, range y, const char *x_name)
{
    const double step_x = nice_step(x), step_y = nice_step(y);
    for (double v = ceil(y.low / step_y) * step_y; v <= y.high + 1e-9 * step_y; v += step_y)
        fprintf(
            f,
            "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/><text x=\"%d\" y=\"%.1f\" "
            "text-anchor=\"end\">%.4g</text>\n",
            LEFT, WIDTH - RIGHT, place_y(v, y), place_y(v, y), LEFT - 6, place_y(v, y) + 4,
            fabs(v) < 1e-9 * step_y ? 0 : v);
    for (double v = ceil(x.low / step_x) * step_x; v <= x.high + 1e-9 * step_x; v += step_x)
        fprintf(f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.4g</text>\n", place_x(v, x),
                HEIGHT - BOTTOM + 18, v);
    fprintf(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8);
    html_text(f, x_name);
    fputs("</text>\n", f);
}

/* The number of consecutive points that are drawn as one point. */
static int piece_of(const html_line *l)
{
    return l->points ? 1 : (l->n + MOST_POINTS - 1) / MOST_POINTS;
}

/* The mean of the piece that begins at point i. Returns false if the piece has no finite value. */
static bool piece_mean(const html_line *l, int i, double *x, double *y)
{
    double sum_x = 0, sum_y = 0;
    int n = 0;
    for (int j = i; j < i + piece_of(l) && j < l->n; j++)
        if (isfinite(l->y[j])) sum_x += l->x[j], sum_y += l->y[j], n++;
    *x = sum_x / n;
    *y = sum_y / n;
    return n > 0;
}

static void line_draw(FILE *f, const html_line *l, range x, range y, const char *color)
{
    double at_x, at_y;
    fputs("<polyline fill=\"none\" stroke-width=\"1.5\" points=\"", f);
    for (int i = 0; i < l->n; i += piece_of(l))
        if (piece_mean(l, i, &at_x, &at_y)) fprintf(f, "%.1f,%.1f ", place_x(at_x, x), place_y(at_y, y));
    fprintf(f, "\" stroke=\"%s\"/>\n", color);
    for (int i = 0; l->points && i < l->n; i++)
        if (isfinite(l->y[i]))
            fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", place_x(l->x[i], x),
                    place_y(l->y[i], y), color);
}

static void legend(FILE *f, const html_line *lines, int n)
{
    fputs("<div class=\"legend\">", f);
    for (int i = 0; i < n; i++) {
        fprintf(f, "<span><b style=\"background:%s\"></b>", COLORS[i % N_COLORS]);
        html_text(f, lines[i].name);
        fputs("</span>\n", f);
    }
    fputs("</div>\n", f);
}

void html_chart(html *h, const char *title, const char *x_name, const html_line *lines, int n)
{
    range x = {INFINITY, -INFINITY}, y = {INFINITY, -INFINITY};
    for (int i = 0; i < n; i++)
        for (int j = 0; j < lines[i].n; j += piece_of(&lines[i])) {
            double at_x, at_y;
            if (!piece_mean(&lines[i], j, &at_x, &at_y)) continue;
            range_take(&x, at_x);
            range_take(&y, at_y);
        }
    if (!(x.low <= x.high)) return; /* nothing to draw */
    if (x.low == x.high) x.high = x.low + 1;
    const double margin = y.low == y.high ? fmax(fabs(y.low), 1) * 0.1 : (y.high - y.low) * 0.05;
    y.low -= margin;
    y.high += margin;
    fputs("<figure>", h->f);
    if (n > 1) legend(h->f, lines, n);
    fprintf(h->f, "<svg viewBox=\"0 0 %d %d\" role=\"img\">\n", WIDTH, HEIGHT);
    axes(h->f, x, y, x_name);
    for (int i = 0; i < n; i++) line_draw(h->f, &lines[i], x, y, COLORS[i % N_COLORS]);
    fputs("</svg><figcaption>", h->f);
    html_text(h->f, title);
    fputs("</figcaption></figure>\n", h->f);
}
