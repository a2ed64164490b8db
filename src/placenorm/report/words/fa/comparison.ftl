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
compare-idle-all = هنوز چیزی نمی‌توان گفت: نشان داده نشد که هیچ محلی در { $measure } بهتر از یک پاسخ یکسان به همه‌ی نمونه‌ها باشد که به { $level } می‌رسد؛ بیشتر (‎--epochs)، با داده‌ی بیشتر یا با نرخ‌های دیگر (‎--lr) آموزش دهید.
compare-idle = با بازه‌هایی که برای همه با هم برقرارند، نشان داده نشد که این‌ها در { $measure } بهتر از یک پاسخ یکسان به همه‌ی نمونه‌ها باشند که به { $level } می‌رسد: { $names }.
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
compare-cost-clock = { $part } و { $time }‏٪ زمان
compare-cost-step = { $part } (هر گام { $time } میلی‌ثانیه)
compare-cost = هزینه: سهم BN از یک گام آموزش: { $parts }.
compare-cost-beside = هزینه: سهم BN از یک گام آموزش: { $parts } (میانه‌ی اجراهایی که کنار هم اجرا شدند)؛ یک گام بدون BN { $time } میلی‌ثانیه طول می‌کشد.

# آنچه برای داوری باید دانست.
note-together = همه‌ی { $intervals } بازه‌ی هر دو پرسش روی هم با اطمینان { $joint }٪ درست‌اند؛ هر یک به تنهایی { $each }٪.
note-few-seeds = با کمتر از { $least } seed هیچ نتیجه‌ای گرفته نمی‌شود.
note-second-look = اگر به سبب این نتیجه seed بیفزایید، نگاه دومی است: با آن احتمال یک «بهتر» نادرست حدود { $second }٪ است و نه { $first }٪.
note-every-look = بازه‌ها پس از هر seed درست‌اند: نه پایان زودهنگام و نه seedهایی که به سبب این نتیجه افزوده شوند احتمال یک «بهتر» نادرست را بالا نمی‌برند. بازه‌ها برای { $planned } seed تنظیم شده‌اند.
note-stopped-decided = پس از { $seeds } seed از { $asked } seed پایان یافت: همه‌ی تفاوت‌ها در { $measure } روشن شده‌اند.
note-stopped-futile = پس از { $seeds } seed از { $asked } seed پایان یافت: بر پایه‌ی seedهای تا این‌جا، احتمال این که هر یک از تفاوت‌های باقی‌مانده در { $measure } با { $asked } seed روشن شود کمتر از { $chance }٪ است.
note-arms-stopped = این محل‌ها تا آخرین seed آموزش داده نشدند، زیرا درباره‌ی آن‌ها همه‌چیز روشن شده بود یا با { $asked } seed به احتمال زیاد روشن نمی‌شد: { $parts }.
note-arms-stopped-part = { $name } پس از { $seeds } seed
note-share = این نتیجه حدود { $share }٪ گام‌های آموزش شبکه‌ی کامل نرخ‌ها را برد: { $arms } محل، { $asked } seed و هر نرخ یادگیری که یکی از محل‌های یک seed آزموده است.
note-share-search = { $trials } اجرای جست‌وجو در آن به شمار نیامده است.
note-share-own = این نتیجه { $share }٪ گام‌های آموزش { $arms } محل با { $asked } seed را برد.
budget-time = بودجه‌ی { $budget } پس از { $minutes } دقیقه این نوبت را پایان داد؛ { $trials } اجرا انجام شده است. برای ادامه، ‎--resume و بودجه‌ای برای نوبت دیگر بدهید.
budget-trials = بودجه‌ی { $budget } کار را پایان داد؛ { $trials } اجرا انجام شده است. برای ادامه، ‎--resume و بودجه‌ی بیشتری بدهید.
budget-gpu-hours = بودجه‌ی { $budget } کار را پایان داد؛ { $trials } اجرا انجام شده است که { $hours } ساعت GPU بردند. برای ادامه، ‎--resume و بودجه‌ی بیشتری بدهید.
note-lost = { $name } در { $lost } seed از { $seeds } seed با همه‌ی نرخ‌های یادگیری واگرا شد ({ $parts })؛ برای چنین اجرایی { $metric } مدلی حساب می‌شود که چیزی نیاموخته است.
note-lost-part = seed { $seed } در گام { $step }
note-empty = { $number_count ->
    [one] برای { $name } در seed { $seeds } مقدار { $measure } در دست نیست؛ جفت‌های آن بدون این seed حساب شده‌اند.
   *[other] برای { $name } در seedهای { $seeds } مقدار { $measure } در دست نیست؛ جفت‌های آن بدون این seedها حساب شده‌اند.
}
note-unfinished = ناتمام: این نتیجه بر { $finished } seed از { $seeds } seed استوار است.
note-same-start = همه‌ی محل‌های یک seed هر جا که اندازه‌ها یکی باشد از وزن‌های یکسان شروع می‌کنند.
note-same-start-and-batches = همه‌ی محل‌های یک seed هر جا که اندازه‌ها یکی باشد از وزن‌های یکسان شروع می‌کنند و دسته‌های یکسان را به ترتیب یکسان می‌بینند.
note-unpaired = loader آموزش وقتی دوباره با همان seed خوانده شد دسته‌های دیگری داد: از حالتی می‌گیرد که placenorm نمی‌تواند تعیینش کند؛ پس محل‌های قرارگیری یک seed دسته‌های متفاوتی دیدند و تفاوت‌ها پراکنده‌ترند.
note-fixed-test = داده‌ی آزمون ثابت است، پس بازه‌ها تنها seedها را در بر می‌گیرند و نه انتخاب نمونه‌های آزمون را.
note-split-anew = داده‌ها برای هر seed از نو تقسیم می‌شوند، پس بازه‌ها seedها و تقسیم‌ها را در بر می‌گیرند.
note-data = { $text }
note-coarse = داده‌ی آزمون { $test } نمونه دارد: یک نمونه از آستانه‌ی تفاوت عملی بزرگ‌تر است، پس داده‌ی آزمون بیشتر روشن‌تر می‌گوید.
note-precision = شبکه‌ها در آموزش و ارزیابی، هر جا autocast چنین کند، با { $name } محاسبه شدند؛ پارامترها، زیان‌ها و سنجه‌ها دقیق‌ترند.
note-compiled = شبکه‌ها با torch.compile کامپایل شدند؛ نخستین گام‌های هر اجرا زمان آن را هم دارند، پس زمان هر گام میانه است.
note-processes = هر اجرا را { $number } فرایند با هم آموزش دادند: هر کدام سهم خود از هر دسته را، با آمارهای BN از کل دسته.
note-checkpoint-damaged = { $number_count ->
    [one] نقطه‌ی ذخیره‌ی (checkpoint) یک اجرا خراب بود، پس آن اجرا از نو آغاز شد: { $name }.
   *[other] نقطه‌های ذخیره‌ی (checkpoint) { $number } اجرا خراب بودند، پس آن‌ها از نو آغاز شدند: { $name }.
}
note-checkpoint-unwritten = { $number_count ->
    [one] نقطه‌ی ذخیره‌ی (checkpoint) یک اجرا نوشته نشد: { $name }؛ اگر آنجا متوقف می‌شد، از نو آغاز می‌شد.
   *[other] نقطه‌های ذخیره‌ی (checkpoint) { $number } اجرا نوشته نشدند: { $name }؛ اگر آنجا متوقف می‌شدند، از نو آغاز می‌شدند.
}
note-torch = اجراها با نسخه‌ی { $torch } از torch انجام شدند: بخشی از تفاوت میان اجراهای یک seed می‌تواند از آن باشد.
note-skipped = { $label }: { $site } همان‌طور که هست می‌ماند: { $reason }.
note-diverged = { $name }: { $diverged } اجرا از { $trials } اجرا واگرا شد؛ چنین نرخی تنها جایی انتخاب می‌شود که همه‌ی نرخ‌ها واگرا شده باشند.
note-failed = { $number_count ->
    [one] { $name }: { $failed } اجرا از { $trials } اجرا ناموفق ماند، در seed { $seeds } که جفت‌های آن بدون آن حساب شده‌اند، گویی اتفاقی بوده است («بهتر» شاید از همین باشد)؛ آخرین خطا: { $reason }.
   *[other] { $name }: { $failed } اجرا از { $trials } اجرا ناموفق ماند، در seedهای { $seeds } که جفت‌های آن بدون آن‌ها حساب شده‌اند، گویی اتفاقی بوده است («بهتر» شاید از همین باشد)؛ آخرین خطا: { $reason }.
}
note-failed-all = { $name }: همه‌ی اجراهای آن ناموفق ماند ({ $failed })، پس درباره‌ی آن چیزی گفته نمی‌شود؛ آخرین خطا: { $reason }.
note-pair-seeds = برخی اجراها ناموفق ماند، پس این جفت‌ها بر کمتر از { $finished } seed پایان‌یافته استوارند: { $parts }.
note-pair-seeds-part = { $first_name } و { $second_name } بر { $seeds } seed
note-rate-given = همه‌ی اجراها با نرخ یادگیری { $rates } انجام شدند که داده شده بود؛ نرخ دیگری شاید به سود محل دیگری باشد.
note-rates = هر محل و هر seed نرخ یادگیری خود را از میان { $rates } با زیان اعتبارسنجی انتخاب کرد؛ هیچ انتخابی در انتهای شبکه‌ی نرخ‌ها نبود.
note-rates-searched = هر محل و هر seed نرخ یادگیری خود را با زیان اعتبارسنجی جست: از میانه‌ی { $rates } به سوی همسایه‌های بهترین نرخ تا آن زمان (روی هم از { $least } تا { $most })؛ { $ended } اجرا از { $trials } اجرا چون عقب بود پیش از پایان متوقف شد.
note-rates-grown = هر محل و هر seed نرخ یادگیری خود را از میان { $rates } با زیان اعتبارسنجی انتخاب کرد؛ در { $grown } seed از { $seeds } seed انتخابی در انتهای شبکه‌ی نرخ‌ها بود، پس همه‌ی محل‌های آن seed نرخ‌های دیگری را هم آزمودند (از { $least } تا { $most }).
note-rates-grown-far = هر محل و هر seed نرخ یادگیری خود را از میان { $rates } با زیان اعتبارسنجی انتخاب کرد؛ در { $grown } seed از { $seeds } seed انتخابی در انتهای شبکه‌ی نرخ‌ها بود، پس همه‌ی محل‌های آن seed نرخ‌های دیگری را هم آزمودند (از { $least } تا { $most })؛ در { $far } تا از آن‌ها جست‌وجو تا آخرین حد خود رفت.

# عددها با واحدشان، و واژه‌ی هر جفت.
count-seeds = { $number } seed
count-trials = { $number } اجرا
count-epochs = { $number } دوره
count-steps = { $number } گام
count-blocks = { $number } بلوک
count-norms = { $number } لایه‌ی BN
compare-head = { $name } (٪)
compare-interval = { $low } تا { $high }
compare-share = { $value }٪
compare-unit-points = واحد درصد
compare-progress = { $label }: { $trials }
compare-failed = { $number } اجرای ناموفق ({ $keys }): { $reason }
compare-failed-more = { $keys } و { $more } اجرای دیگر
word-better = بهتر
word-no-practical-difference = بدون تفاوت عملی
word-undecided = نامشخص
word-winner = { $winner } بهتر است
word-more = نامشخص (با { $seeds } بیشتر)
tag-advised = پیشنهادی
tag-unbeaten = بی‌رقیب
tag-baseline = مبنا
tag-diverged = { $diverged } واگرا از { $seeds }

# نمودارها.
draw-higher = { $what }، بیشتر بهتر است
draw-lower = { $what }، کمتر بهتر است
draw-scores-title = { $metric } روی داده‌ی آزمون برای هر محل قرارگیری
draw-scores-caption = هر نقطه یک seed است، نشانه‌ی بزرگ میانگین روی { $seeds } است و خط، بازه‌ی ۹۵٪ آن. داوری بر تفاوت‌های جفت‌شده‌ی پایین استوار است، نه بر این که این بازه‌ها هم‌پوشانی دارند یا نه.
draw-scores-alt = { $metric } روی داده‌ی آزمون، از بهترین: { $rows }. بهترین میانگین از آن { $best } است.
draw-validation = { $metric } اعتبارسنجی
draw-loss = زیان اعتبارسنجی
draw-log = { $what }، مقیاس لگاریتمی
draw-step = گام‌های آموزش
draw-time_s = ثانیه‌های آموزش
draw-target = هدف { $level }
draw-curve-alt = { $what } در طول { $clock }. در پایان: { $rows }.
draw-curve-loss = زیانی که نرخ‌های یادگیری با آن انتخاب شد
draw-curve-fastest = { $variant } از همه سریع‌تر آموزش می‌بیند: { $level } پس از { $steps } گام
draw-curve-title = { $metric } اعتبارسنجی در طول { $clock }
draw-curve-caption-loss = میانگین و دامنه روی seedها. هر seed از یک محل، نرخی را به کار می‌برد که زیان آن در پایان از همه کمتر است.
draw-curve-caption-seconds = همان، در طول ثانیه‌هایی که صرف گام‌های آموزش شد.
draw-curve-caption = میانگین { $what } روی seedها، هر یک با نرخ یادگیری خودش؛ نوار از پایین‌ترین تا بالاترین seed کشیده شده است. منحنی seedی که واگرا شود همان‌جا پایان می‌یابد.
draw-speed = سرعت آموزش
draw-differences-none = در { $what } تفاوت عملی نیست
draw-differences-open = نشان داده نشد که محلی در { $what } بهتر باشد
draw-differences-unbeaten = در { $what } هیچ محلی از { $names } بهتر نیست
draw-differences-axis = تفاوت ({ $unit })
draw-differences-caption = تفاوت در { $measure }، جفت‌شده روی seedها؛ سمت راست صفر یعنی اولی بهتر است. نوار سایه‌دار آستانه‌ی تفاوت عملی است، ±{ $margin }: تفاوت‌های درون آن معنای عملی ندارند. همه‌ی بازه‌های هر دو پرسش روی هم با اطمینان { $confidence }٪ درست‌اند.
draw-differences-alt = تفاوت در { $measure }، { $unit }: { $rows }.
draw-pair = { $first } در برابر { $second }
draw-dead-none = در هیچ محل قرارگیری‌ای نورون مرده‌ای نیست
draw-dead-title = بیشترین نورون مرده: { $variant }، { $share } در { $activation }
draw-dead-caption = سهم نورون‌هایی (کانال‌ها یا ویژگی‌ها) که در پایان آموزش برای هیچ نمونه‌ی اعتبارسنجی فعال نشدند، به درصد؛ میانگین روی seedها. ورودی شبکه در سمت چپ است و پررنگ‌ترین خانه یعنی { $most }.
draw-dead-alt = میانگین سهم نورون‌های مرده روی همه‌ی تابع‌های فعال‌ساز: { $rows }. { $title }.
draw-active-title = مقدارهای فعال به طور میانگین: { $least } در { $low } و { $most } در { $high }
draw-active-even = به طور میانگین { $share } مقدارها فعال‌اند
draw-active-caption = سهم مقدارهای هر تابع فعال‌ساز که در پایان آموزش برای داده‌ی اعتبارسنجی فعال بودند، به درصد؛ میانگین روی seedها. ورودی شبکه در سمت چپ است و پررنگ‌ترین خانه یعنی { $most }.
draw-active-alt = میانگین سهم مقدارهای فعال روی همه‌ی تابع‌های فعال‌ساز: { $rows }. { $title }.
draw-shares-order = تابع‌های فعال‌ساز به ترتیب شبکه
draw-shares-mean = میانگین { $share }
draw-times-title = یک گام آموزش چه‌قدر طول می‌کشد
draw-times-caption = هر نقطه یک اجراست؛ میله اجراهای یک seed و یک نرخ را می‌سنجد که کنار هم اجرا شدند.
draw-thinned = { $caption } جایی که یک محل بیش از { $most } نقطه دارد، تنها برخی از آن‌ها با فاصله‌ی یکسان کشیده شده‌اند.
draw-times-alt = میانه‌ی زمان یک گام آموزش: { $rows }.
draw-times-axis = زمان یک گام آموزش (میلی‌ثانیه)
draw-times-line = { $time } میلی‌ثانیه
draw-times-share = سهم BN: { $share }٪ بایت‌ها
draw-tip-variant = محل
draw-tip-seed = seed
draw-tip-step = گام
draw-tip-seconds = ثانیه
draw-tip-mean = میانگین { $what }
draw-tip-seeds = تعداد seed
draw-tip-pair = جفت
draw-tip-difference = تفاوت
draw-tip-activation = تابع فعال‌ساز
draw-tip-mean-share = میانگین
draw-tip-fewest = کمترین میان seedها
draw-tip-most = بیشترین میان seedها
draw-tip-interval = بازه‌ی ۹۵٪
draw-tip-rate = نرخ یادگیری
draw-tip-step-time = زمان یک گام

# آنچه آموزش داده می‌شد.
planned-grid = { $trials } اجرا یا بیشتر: { $arms } محل، { $seeds } seed و { $rates } نرخ یادگیری، و نرخ‌های دیگر هر جا بهترین نرخ در یک سر باشد.
planned-grid-fixed = { $trials } اجرا: { $arms } محل و { $seeds } seed.
planned-early-fixed = { $trials } اجرا در کل جدول { $arms } محل و { $seeds } seed؛ مقایسه هر جا که ادامه نیرزد پایان می‌یابد.
planned-early = { $trials } اجرا در کل جدول { $arms } محل، { $seeds } seed و { $rates } نرخ یادگیری؛ مقایسه هر جا که ادامه نیرزد پایان می‌یابد.
planned-search = نخست جست‌وجو: { $choices } بلوک حق انتخاب دارند که { $size } محل قرارگیری می‌سازد؛ جست‌وجو تا { $trials } اجرا می‌برد.
planned-judged = سپس حداکثر { $arms } محل با seedهای تازه سنجیده می‌شوند: { $trials } اجرا برای { $seeds } seed و { $rates } نرخ یادگیری، یا بیشتر هر جا بهترین نرخ در یک سر باشد.
planned-judged-fixed = سپس حداکثر { $arms } محل با seedهای تازه سنجیده می‌شوند: { $trials } اجرا برای { $seeds } seed.
planned-budget = با ‎--budget { $budget }‎ اگر زودتر خرج شود، همان‌جا پایان می‌یابد.
planned-budget-search = با ‎--budget { $budget }‎ اگر زودتر خرج شود، همان‌جا پایان می‌یابد؛ جستجو حداکثر نیمی از آن را می‌گیرد.
planned-nothing = چیزی آموزش داده یا نوشته نشد؛ بدون ‎--dry-run آغاز می‌شود.

# آنچه یک جست‌وجو یافت.
search-title = جست‌وجو چه یافت
search-intro = روی داده‌ی اعتبارسنجی و تنها برای { $seeds } seed جست‌وجو که جز seedهای نتیجه‌اند. بزرگ‌ترین تفاوت میان دو محل هر بلوک، با هر جایی که بلوک‌های دیگر باشند؛ همه‌ی بازه‌ها با هم با اطمینان { $confidence }٪ برقرارند.
search-found = جست‌وجو: { $tried } محل قرارگیری از { $size } محل، هر کدام در { $seeds } seed و روی هم با { $trials } اجرا آزموده شد، { $ended }؛ روی داده‌ی اعتبارسنجی‌شان بهترین آن‌ها، «searched»، به میانگین { $metric } { $reached } رسید و بهترین محل نام‌دار، { $policy }، به { $beside }. اینکه این چه می‌ارزد تنها از نتیجه معلوم می‌شود: نتیجه بر seedهایی است که جست‌وجو هرگز ندیده است.
search-named = جست‌وجو: { $tried } محل قرارگیری از { $size } محل، هر کدام در { $seeds } seed و روی هم با { $trials } اجرا آزموده شد، { $ended }؛ روی داده‌ی اعتبارسنجی‌شان هیچ‌کدام بیش از آستانه‌ی تفاوت عملی از محل نام‌دار { $name } بهتر نبود که به میانگین { $metric } { $reached } رسید. نتیجه بر seedهایی است که جست‌وجو هرگز ندیده است.
search-failed = از این اجراها { $failed } ناموفق ماند و محلی که چنین اجرایی دارد کنار گذاشته می‌شود ({ $names })؛ آخرین خطا: { $reason }.
search-failed-others = محل‌های دیگر
search-ended-all = و بیش از این نیست
search-ended-trials = هر چه اجازه داشت
search-ended-budget = تا جایی که بودجه می‌رسید
search-blocks = از { $choices } بلوک که انتخابی داشتند، محل BN در { $matters } بلوک مهم است ({ $names })، در { $idle } بلوک مهم نیست و درباره‌ی { $open } بلوک معلوم نیست؛ بر پایه‌ی { $drawn } محل قرارگیری که به تصادف برگزیده شدند.
search-blocks-none = نشان داده نشد که محل BN در هیچ‌یک از { $choices } بلوکی که انتخابی داشتند مهم باشد: در { $idle } بلوک مهم نیست و درباره‌ی { $open } بلوک معلوم نیست؛ بر پایه‌ی { $drawn } محل قرارگیری که به تصادف برگزیده شدند.
search-head-block = بلوک
search-head-position = محل یافته‌شده
search-head-effect = بزرگ‌ترین تفاوت
search-head-interval = بازه
search-head-word = محل BN آن
search-effect = { $first } در برابر { $second }: { $gap }
search-word-matters = مهم است
search-word-not = مهم نیست
search-word-unknown = معلوم نیست

# صفحه.
page-unfinished = هنوز تمام نشده است
page-unfinished-reason = از دست‌کم { $planned } اجرا، { $done } در مخزن است؛ برای نتیجه کافی نیست. برای ادامه، دستور زیر را اجرا کنید.
page-own-data = داده‌های حلقه‌ی آموزش خودتان
page-length = { $epochs }، { $steps }
page-resume-label = دستوری که ادامه می‌دهد
page-numbers = عددها
page-numbers-intro = میانگین روی { $seeds }، هر یک با نرخ یادگیری‌ای که زیان اعتبارسنجی خودش انتخاب کرد.
page-numbers-target = هدف: رسیدن { $metric } اعتبارسنجی به { $target }.
page-head-placement = محل قرارگیری
page-head-test = { $metric } آزمون
page-head-steps = گام تا هدف
page-head-seconds = ثانیه تا هدف
page-head-area = مساحت زیر منحنی
page-head-dead = نورون‌های مرده
page-head-time = زمان هر گام (میلی‌ثانیه)
page-head-rates = نرخ‌های یادگیری
page-reached = { $reached } از { $seeds }
page-differences = کدام تفاوت‌ها واقعی‌اند
page-curves = در طول آموزش
page-legend = رنگ و نشانه‌ی هر محل
page-inside = درون شبکه
page-network = BN کجاست
page-network-intro = هر کادر یک بلوک است: یک لایه‌ی وزن‌دار و زنجیره‌ی پس از آن، به ترتیب اجرا.
page-network-count = { $blocks }، { $norms }
page-skipped = خواسته شد و انجام نشد:
page-costs = هزینه‌ی BN
page-costs-intro = روی ورودی نمونه و بدون ساعت شمرده شده است: آنچه لایه‌های BN به تنهایی در یک گام جابه‌جا می‌کنند و سهم آن از همه‌ی بایت‌هایی که شبکه جابه‌جا می‌کند.
page-cost-placement = محل قرارگیری
page-cost-norms = لایه‌های BN
page-cost-parameters = تعداد گاما و بتا
page-cost-training = جابه‌جایی در یک گام آموزش
page-cost-share = سهم از همه‌ی بایت‌ها
page-cost-inference = جابه‌جایی در استنتاج، بدون جذب در وزن‌ها
page-use = به کار بردن { $pick }
page-use-label = دستورهای Python که BN را جا می‌دهند
page-failed = اجراهای ناموفق
page-failed-intro = این اجراها نتیجه‌ای ندارند و جایی حساب نمی‌شوند؛ همان فرمان با `--resume` آن‌ها را دوباره اجرا می‌کند.
page-how = چگونه اندازه‌گیری شد
page-again-comparison = دستوری که این مقایسه را تکرار می‌کند
page-settings = تنظیمات
page-environment = محیط اجرا
page-set-model = مدل
page-set-weights = وزن‌ها
page-set-data = داده
page-set-samples = نمونه‌ها
page-set-precision = دقت عددی
page-set-compiled = کامپایل
page-set-compiled-yes = با torch.compile
page-set-search = جست‌وجو، تعداد اجرا
page-set-processes = فرایندهای هر اجرا
page-set-samples-unknown = همان اندازه که loaderها می‌دهند
page-set-samples-value = { $train } برای آموزش، { $validation } برای اعتبارسنجی، { $test } برای آزمون
page-set-sample = اندازه‌ی هر نمونه
page-set-test = داده‌ی آزمون
page-set-test-fixed = برای همه‌ی seedها یکی
page-set-test-split = برای هر seed از نو جدا می‌شود
page-set-hash = شناسه‌ی داده (hash)
page-set-loop = حلقه‌ی آموزش
page-set-placements = محل‌های قرارگیری
page-set-seeds = تعداد seed
page-set-stop = پایان
page-set-stop-early = زودهنگام، وقتی چیزی برای روشن شدن نماند
page-set-epochs = دوره‌ها
page-set-batch = اندازه‌ی دسته
page-set-rates = نرخ‌های یادگیری
page-set-grown = نرخ‌های افزوده
page-set-optimizer = بهینه‌ساز
page-set-optimizer-value = { $optimizer }، برنامه‌ی { $schedule }
page-set-metric = سنجه
page-set-metric-higher = { $metric }، بیشتر بهتر است
page-set-metric-lower = { $metric }، کمتر بهتر است
page-set-margin = آستانه‌ی تفاوت عملی
page-set-norms = لایه‌های BN
page-set-trials = اجراها
page-env-date = تاریخ
page-env-placenorm = نسخه‌ی placenorm
page-env-torch = نسخه‌ی torch
page-env-python = نسخه‌ی Python
page-env-platform = سیستم
page-env-cores = هسته‌ها
page-env-device = دستگاه
picture-own-data = داده‌ی خودتان

# ترمینال.
terminal-verdict = نتیجه
terminal-notes = یادداشت‌ها
terminal-columns = هدف (target) همان است که بدترین محل در پایان به آن می‌رسد؛ area یعنی میانگین بلندی منحنی اعتبارسنجی؛ dead units یعنی کانال‌ها یا ویژگی‌هایی که هیچ نمونه‌ی اعتبارسنجی آن‌ها را فعال نمی‌کند.
terminal-own = روی شبکه و داده‌ی خودتان:
terminal-unfinished = هنوز نتیجه‌ای نیست: از دست‌کم { $planned } اجرا، { $done } انجام شده است.
terminal-go-on = برای ادامه این دستور را اجرا کنید:

metric-accuracy = دقت
