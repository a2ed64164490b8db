# نتیجه‌ی یک مقایسه، به جمله.
compare-and = { $first } و { $last }
compare-or = { $first } یا { $last }
compare-comma = { $first }، { $last }
compare-measure-final = { $metric } روی داده‌ی آزمون
compare-measure-speed = میانگین { $metric } اعتبارسنجی در طول آموزش
compare-no-norm = بدون BN{ $more }
compare-put = BN را در محل { $places } بگذارید
compare-use-none = شبکه را { $call } به کار ببرید
compare-leave = BNها را همان‌طور که هستند نگه دارید{ $more }
compare-use-placement = محل قرارگیری { $label } را به کار ببرید
compare-diverged-all = هیچ محل قرارگیری‌ای آموزش ندید: همه‌ی آن‌ها در همه‌ی seedها واگرا شدند؛ نرخ‌های یادگیری، تابع زیان و داده‌ها را بررسی کنید.
compare-only = { $wish }: این تنها محل قرارگیری‌ای است که مقایسه شد.
compare-won = { $wish }: { $win }.
compare-tied-some = { $wish }: از { $number } محل قرارگیری که هیچ محل دیگری در { $measure } از آن‌ها بهتر نیست ({ $every })، این یکی { $cheap }؛ میان آن‌ها { $tie }.
compare-tied-all = { $wish }: محل قرارگیری BN این‌جا تفاوت عملی ندارد ({ $every })، زیرا در { $measure } { $tie }؛ از میان آن‌ها این یکی { $cheap }.
compare-undecided = نامشخص: نشان داده نشد که محلی در { $measure } از محل دیگری بهتر باشد ({ $every })؛ { $tie }؛ تا آن زمان { $wish }، زیرا { $cheap }.
compare-unknown = چیزی نمی‌توان گفت: { $metric } روی داده‌ی آزمون همه‌ی اجراها NaN یا بی‌نهایت است، هرچند { $trained } اجرا از { $trials } اجرا تا پایان آموزش دیدند؛ با `--metric` سنجه‌ی دیگری بدهید یا این یکی را اصلاح کنید.
compare-unsteady = { $cheap } ({ $call } در { $diverged } seed از { $seeds } seed واگرا شد)
compare-win-unbeaten = این تنها محل قرارگیری‌ای است که هیچ محل دیگری در { $measure } از آن بهتر نیست
compare-win-other = { $measure } آن از محل دیگر به اندازه‌ی { $size } بهتر است
compare-win-others = { $measure } آن از همه‌ی محل‌های دیگر بهتر است، به طور میانگین دست‌کم به اندازه‌ی { $size }
compare-tie-margin = همه‌ی تفاوت‌ها درون آستانه‌ی { $size } هستند
compare-tie-one = تفاوت نامشخص است
compare-tie-every = هر { $pairs } تفاوت نامشخص است
compare-tie-part = { $open } تفاوت از { $pairs } تفاوت نامشخص است
compare-tie-few = { $stand }، و با کمتر از { $least } seed چیزی روشن نمی‌شود
compare-tie-never = { $stand }، و به احتمال زیاد { $most } seed دیگر هم آن را روشن نمی‌کند
compare-tie-clearest = { $stand }، و به احتمال زیاد با حدود { $more } seed دیگر روشن‌ترین آن‌ها معلوم می‌شود
compare-tie-decide-it = { $stand }، و به احتمال زیاد با حدود { $more } seed دیگر روشن می‌شود
compare-tie-decide-them = { $stand }، و به احتمال زیاد با حدود { $more } seed دیگر همه روشن می‌شوند
compare-cheap-steady = تنها محلی است که هرگز واگرا نشد
compare-cheap-equal = از هیچ محل دیگری گران‌تر نیست
compare-cheap-none = ارزان‌ترین است، چون BN ندارد
compare-cheap-least = ارزان‌ترین است، چون BNهای آن در هر گام آموزش { $least } جابه‌جا می‌کنند و محل بعدی { $next }
compare-points = { $value } واحد درصد
compare-percent = { $value }٪
compare-level = { $metric } { $value }

compare-speed-alone = سرعت: چیزی برای مقایسه نیست.
compare-speed-tied = سرعت: نشان داده نشد که محلی سریع‌تر از محل دیگری آموزش ببیند؛ { $tie }.
compare-speed-claim = { $number_count ->
    [one] { $winners } سریع‌تر از { $losers } آموزش می‌بیند
   *[other] { $winners } سریع‌تر از { $losers } آموزش می‌بینند
}
compare-speed = سرعت: گام به گام، { $claims }؛ بیشترین پیشی از آن { $winner } در برابر { $loser } است: { $metric } اعتبارسنجی آن به طور میانگین در طول آموزش به اندازه‌ی { $size } بهتر است{ $arrival }{ $rest }.
compare-speed-arrival = ، و { $first } به { $target } می‌رسد ({ $loser }: { $second })
compare-speed-rest = ؛ میان { $names } تفاوتی نشان داده نشد
compare-arrives = پس از { $steps } گام و { $seconds } ثانیه
compare-arrives-in = در { $reached } seed از { $seeds } seed

compare-cost-none = هزینه: هیچ شبکه‌ای این‌جا BN ندارد، پس هزینه‌ای هم نیست.
compare-cost-part = { $label } { $share }٪ از بایت‌ها
compare-cost-clock = { $part } و { $time }٪ زمان
compare-cost-step = { $part } (هر گام { $time } میلی‌ثانیه)
compare-cost = هزینه: سهم BN از یک گام آموزش: { $parts }.
compare-cost-beside = هزینه: سهم BN از یک گام آموزش: { $parts } (میانه‌ی اجراهایی که کنار هم اجرا شدند)؛ یک گام بدون BN { $time } میلی‌ثانیه طول می‌کشد.

# آنچه برای داوری باید دانست.
note-together = همه‌ی { $intervals } بازه‌ی هر دو پرسش روی هم با اطمینان { $joint }٪ درست‌اند؛ هر یک به تنهایی { $each }٪.
note-few-seeds = با کمتر از { $least } seed هیچ نتیجه‌ای گرفته نمی‌شود.
note-second-look = اگر به سبب این نتیجه seed بیفزایید، نگاه دومی است: با آن احتمال یک «بهتر» نادرست حدود { $second }٪ است و نه { $first }٪.
note-lost = { $name } در { $lost } seed از { $seeds } seed با همه‌ی نرخ‌های یادگیری واگرا شد ({ $parts })؛ برای چنین اجرایی { $metric } مدلی حساب می‌شود که چیزی نیاموخته است.
note-lost-part = seed { $seed } در گام { $step }
note-empty = { $number_count ->
    [one] برای { $name } در seed { $seeds } مقدار { $measure } در دست نیست؛ جفت‌های آن بدون این seed حساب شده‌اند.
   *[other] برای { $name } در seedهای { $seeds } مقدار { $measure } در دست نیست؛ جفت‌های آن بدون این seedها حساب شده‌اند.
}
note-unfinished = ناتمام: این نتیجه بر { $finished } seed از { $seeds } seed استوار است.
note-same-start = همه‌ی محل‌های یک seed هر جا که اندازه‌ها یکی باشد از وزن‌های یکسان شروع می‌کنند.
note-same-start-and-batches = همه‌ی محل‌های یک seed هر جا که اندازه‌ها یکی باشد از وزن‌های یکسان شروع می‌کنند و دسته‌های یکسان را به ترتیب یکسان می‌بینند.
note-fixed-test = داده‌ی آزمون ثابت است، پس بازه‌ها تنها seedها را در بر می‌گیرند و نه انتخاب نمونه‌های آزمون را.
note-split-anew = داده‌ها برای هر seed از نو تقسیم می‌شوند، پس بازه‌ها seedها و تقسیم‌ها را در بر می‌گیرند.
note-data = { $text }
note-coarse = داده‌ی آزمون { $test } نمونه دارد: یک نمونه از آستانه‌ی تفاوت عملی بزرگ‌تر است، پس داده‌ی آزمون بیشتر روشن‌تر می‌گوید.
note-torch = اجراها با نسخه‌ی { $torch } از torch انجام شدند: بخشی از تفاوت میان اجراهای یک seed می‌تواند از آن باشد.
note-skipped = { $label }: { $site } همان‌طور که هست می‌ماند: { $reason }.
note-diverged = { $name }: { $diverged } اجرا از { $trials } اجرا واگرا شد؛ چنین نرخی تنها جایی انتخاب می‌شود که همه‌ی نرخ‌ها واگرا شده باشند.
note-rate-given = همه‌ی اجراها با نرخ یادگیری { $rates } انجام شدند که داده شده بود؛ نرخ دیگری شاید به سود محل دیگری باشد.
note-rates = هر محل و هر seed نرخ یادگیری خود را از میان { $rates } با زیان اعتبارسنجی انتخاب کرد؛ هیچ انتخابی در انتهای شبکه‌ی نرخ‌ها نبود.
note-rates-grown = هر محل و هر seed نرخ یادگیری خود را از میان { $rates } با زیان اعتبارسنجی انتخاب کرد؛ در { $grown } seed از { $seeds } seed انتخابی در انتهای شبکه‌ی نرخ‌ها بود، پس همه‌ی محل‌های آن seed نرخ‌های دیگری را هم آزمودند (از { $least } تا { $most }).
note-rates-grown-far = هر محل و هر seed نرخ یادگیری خود را از میان { $rates } با زیان اعتبارسنجی انتخاب کرد؛ در { $grown } seed از { $seeds } seed انتخابی در انتهای شبکه‌ی نرخ‌ها بود، پس همه‌ی محل‌های آن seed نرخ‌های دیگری را هم آزمودند (از { $least } تا { $most })؛ در { $far } تا از آن‌ها جست‌وجو تا آخرین حد خود رفت.
