#include "config.h"
#include "tests/tap.h"

#include "base/mem.h"
#include "generator/sample.h"

#include <math.h>
#include <stdlib.h>

#define DRAWS 20000

static struct sampler *open_sampler(const struct sample_opts *o, size_t vocab)
{
	struct sampler *s = NULL;

	ok(sampler_new(&s, o, vocab) == RAG_OK, "temperature %g top-k %d top-p %g min-p %g",
	   o->temperature, o->top_k, o->top_p, o->min_p);
	return s;
}

static void test_greedy(void)
{
	struct sample_opts o = { 0 };
	struct sampler *s = open_sampler(&o, 4);

	is_int(sampler_pick(s, (float[]){ 1, 3, 3, 2 }), 1, "a tie goes to the lower id");
	is_int(sampler_pick(s, (float[]){ NAN, -5, NAN, -6 }), 1, "NaN never wins");
	is_int(sampler_pick(s, (float[]){ 1, INFINITY, 2, INFINITY }), 1, "infinity wins");
	is_int(sampler_pick(s, (float[]){ -INFINITY, NAN, -INFINITY, NAN }), -1,
	       "nothing to pick from is said so");
	sampler_free(s);
}

static void refused(struct sample_opts o, size_t vocab, const char *name)
{
	struct sampler *s = NULL;

	err_clear();
	ok(sampler_new(&s, &o, vocab) == RAG_EINVAL && strstr(err_msg(), name),
	   "out of range: %s (%s)", name, err_msg());
}

static void test_range(void)
{
	refused((struct sample_opts){ .temperature = -0.1 }, 4, "temperature");
	refused((struct sample_opts){ .temperature = NAN }, 4, "temperature");
	refused((struct sample_opts){ .temperature = INFINITY }, 4, "temperature");
	refused((struct sample_opts){ .top_k = -1 }, 4, "top-k");
	refused((struct sample_opts){ .top_p = 1.5 }, 4, "top-p");
	refused((struct sample_opts){ .top_p = NAN }, 4, "top-p");
	refused((struct sample_opts){ .min_p = -1 }, 4, "min-p");
	refused((struct sample_opts){ .min_p = 2 }, 4, "min-p");
	refused((struct sample_opts){ 0 }, 0, "vocabulary");
}

/* Draws from logits log(1), log(2), ... log(n) and counts. */
static void draw(unsigned *count, size_t n, struct sample_opts o)
{
	float logits[16];
	struct sampler *s = open_sampler(&o, n);

	for (size_t i = 0; i < n; i++) {
		logits[i] = logf((float)(i + 1));
		count[i] = 0;
	}
	for (int i = 0; i < DRAWS; i++)
		count[sampler_pick(s, logits)]++;
	sampler_free(s);
}

/* Pearson's statistic against weights. */
static double chi2(const unsigned *count, const double *w, size_t n)
{
	double sum = 0, x = 0;

	for (size_t i = 0; i < n; i++)
		sum += w[i];
	for (size_t i = 0; i < n; i++) {
		double want = DRAWS * w[i] / sum;

		x += (count[i] - want) * (count[i] - want) / want;
	}
	return x;
}

static void test_distribution(void)
{
	unsigned c[8];
	double w[8];

	draw(c, 8, (struct sample_opts){ .temperature = 1, .seed = 7 });
	for (int i = 0; i < 8; i++)
		w[i] = i + 1;
	/* 24.3 is passed once in a thousand with 7 degrees of freedom */
	ok(chi2(c, w, 8) < 24.3, "temperature 1 draws by probability (chi2 %.1f)", chi2(c, w, 8));
	draw(c, 8, (struct sample_opts){ .temperature = 0.5, .seed = 8 });
	for (int i = 0; i < 8; i++)
		w[i] = (i + 1) * (i + 1);
	ok(chi2(c, w, 8) < 24.3, "temperature 1/2 squares them (chi2 %.1f)", chi2(c, w, 8));
	draw(c, 8, (struct sample_opts){ .temperature = 2, .seed = 9 });
	for (int i = 0; i < 8; i++)
		w[i] = sqrt(i + 1);
	ok(chi2(c, w, 8) < 24.3, "temperature 2 takes roots (chi2 %.1f)", chi2(c, w, 8));
}

static unsigned support(const unsigned *c, size_t n)
{
	unsigned bits = 0;

	for (size_t i = 0; i < n; i++)
		bits |= c[i] ? 1u << i : 0;
	return bits;
}

static void test_cuts(void)
{
	unsigned c[8];
	double w[2] = { 7, 8 };

	/* Probabilities in 36ths: 1 2 3 4 5 6 7 8. */
	draw(c, 8, (struct sample_opts){ .temperature = 1, .top_k = 3, .seed = 1 });
	is_int(support(c, 8), 0xe0, "top-k 3 leaves three");
	draw(c, 8, (struct sample_opts){ .temperature = 1, .top_k = 100, .seed = 1 });
	is_int(support(c, 8), 0xff, "a top-k beyond the vocabulary leaves all");
	draw(c, 8, (struct sample_opts){ .temperature = 1, .top_p = 0.4, .seed = 2 });
	is_int(support(c, 8), 0xc0, "top-p .4 leaves 8/36 + 7/36");
	ok(chi2(c + 6, w, 2) < 10.8, "and keeps their proportion");
	draw(c, 8, (struct sample_opts){ .temperature = 1, .top_p = 0.43, .seed = 2 });
	is_int(support(c, 8), 0xe0, "top-p .43 needs a third");
	draw(c, 8, (struct sample_opts){ .temperature = 1, .top_p = 1, .seed = 2 });
	is_int(support(c, 8), 0xff, "top-p 1 leaves all");
	draw(c, 8, (struct sample_opts){ .temperature = 1, .min_p = 0.8, .seed = 3 });
	is_int(support(c, 8), 0xc0, "min-p .8 leaves 8 and 7");
	/* Behind top-k 2 top-p sees 8/15 and 7/15. */
	draw(c, 8, (struct sample_opts){ .temperature = 1, .top_k = 2, .top_p = 0.5, .seed = 4 });
	is_int(support(c, 8), 0x80, "top-p counts what top-k leaves");
	draw(c, 8, (struct sample_opts){ .temperature = 5, .top_k = 3, .min_p = 0.8, .seed = 5 });
	is_int(support(c, 8), 0xc0, "temperature comes last and changes no cut");
}

static void test_replay(void)
{
	struct sample_opts o = { .temperature = 1, .top_p = 0.95, .seed = 42 };
	struct sampler *a = open_sampler(&o, 16), *b = open_sampler(&o, 16), *c;
	float logits[16];
	bool same = true, differs = false;
	unsigned state = 1;

	o.seed = 43;
	c = open_sampler(&o, 16);
	for (int i = 0; i < 500; i++) {
		int32_t x;

		for (int k = 0; k < 16; k++) {
			state = state * 1664525u + 1013904223u;
			logits[k] = (float)(state >> 8) / (1 << 22);
		}
		x = sampler_pick(a, logits);
		same &= x == sampler_pick(b, logits);
		differs |= x != sampler_pick(c, logits);
	}
	ok(same, "the same seed gives the same tokens");
	ok(differs, "another seed gives others");
	sampler_free(a);
	sampler_free(b);
	sampler_free(c);
}

/* Draws 0 .. 9 of PCG32 stream 54 with seed 42, as pcg32-demo prints them,
 * two at a time make the 53 bits that choose among equal logits. */
static void test_pcg(void)
{
	static const uint32_t demo[] = { 0xa15c02b7, 0x7b47f409, 0xba1d3330, 0x83d2f293,
					 0xbfa4784b, 0xcbed606e };
	struct sample_opts o = { .temperature = 1, .seed = 42 };
	struct sampler *s = open_sampler(&o, 4096);
	static float logits[4096];

	for (int i = 0; i < 6; i += 2)
		is_int(sampler_pick(s, logits), demo[i] >> 20, "the generator is PCG32");
	sampler_free(s);
}

static void test_odd(void)
{
	struct sample_opts o = { .temperature = 1, .top_k = 4, .min_p = 0.01, .seed = 1 };
	struct sampler *s = open_sampler(&o, 4);
	bool good = true;

	for (int i = 0; i < 200; i++) {
		int32_t x = sampler_pick(s, (float[]){ NAN, 1, -INFINITY, 1 });

		good &= x == 1 || x == 3;
	}
	ok(good, "NaN and -inf are never drawn");
	is_int(sampler_pick(s, (float[]){ 0, 1, INFINITY, 1 }), 2, "infinity always is");
	is_int(sampler_pick(s, (float[]){ NAN, NAN, NAN, NAN }), -1, "all NaN: -1");
	is_int(sampler_pick(s, (float[]){ -3e38f, 3e38f, 0, 0 }), 1, "extremes don't overflow");
	sampler_free(s);
	o = (struct sample_opts){ .temperature = 1e-9, .seed = 1 };
	s = open_sampler(&o, 4);
	is_int(sampler_pick(s, (float[]){ 1, 2, 3, 2 }), 2, "a temperature near 0 is greedy");
	sampler_free(s);
}

static void test_fault(void)
{
	struct sample_opts o = { .temperature = 1 };
	struct sampler *s = NULL;

	for (unsigned long n = 1; n <= 3; n++) {
		mem_fail_at(n);
		is_int(sampler_new(&s, &o, 100), RAG_ENOMEM, "a failed allocation is passed up");
	}
	mem_fail_at(4);
	is_int(sampler_new(&s, &o, 100), RAG_OK, "there are three");
	mem_fail_at(0);
	sampler_free(s);
	sampler_free(NULL);
}

int main(void)
{
	test_greedy();
	test_range();
	test_distribution();
	test_cuts();
	test_replay();
	test_pcg();
	test_odd();
	test_fault();
	return tap_done();
}
