# صفحه، پایانه و سند ادعاها.

claims-title = آزمون ادعاهای مقاله
claims-headline = { $total_count ->
    [one] تنها ادعایی که آزموده شد: { $parts }.
   *[other] از { $total } ادعای مقاله، { $parts }.
}
claims-headline-none = هنوز هیچ ادعایی همه‌ی آزمایش‌های یک seed را ندارد.
claims-part-holds = { $number_count ->
    [one] یک ادعا درست است
   *[other] { $number } ادعا درست است
}
claims-part-holds-only-if = { $number_count ->
    [one] یک ادعا فقط به شرطی درست است
   *[other] { $number } ادعا فقط به شرطی درست است
}
claims-part-does-not-hold = { $number_count ->
    [one] یک ادعا درست نیست
   *[other] { $number } ادعا درست نیست
}
claims-part-undecided = { $number_count ->
    [one] یک ادعا نامشخص است
   *[other] { $number } ادعا نامشخص است
}
claims-lead = مقاله‌ای کوتاه به فارسی می‌پرسد لایه‌ی BatchNorm دقیقاً باید کجا قرار بگیرد. این‌جا هر ادعای آن با یک آزمایش روی داده‌ها سنجیده شده است، و قاعده‌ای نوشته‌شده از مشاهده‌ها نتیجه می‌گیرد.
claims-left-out = پرسیده نشد، زیرا نمونه‌های این داده تصویر نیستند: { $claims }.
claims-missing = هنوز تمام نشده است: { $claims }. برای ادامه، دستور زیر را اجرا کنید.
claims-fact-data = داده: { $data }
claims-fact-samples = { $train } نمونه برای آموزش، { $test } نمونه برای آزمون
claims-fact-seeds = { $seeds_count ->
    [one] یک seed
   *[other] { $seeds } seed جفت‌شده
}
claims-fact-trials = { $trials } اجرا
claims-fact-time = { $minutes_count ->
    [0] { $seconds } ثانیه محاسبه
   *[other] { $minutes } دقیقه محاسبه
}

claims-board-title = سرانجام هر ادعا
claims-board-caption = هر سطر یک ادعاست، به ترتیب مقاله؛ نشانه‌ی آن در ستون نتیجه‌اش است. زیر آن عددی آمده است که نتیجه را تعیین می‌کند، با بازه‌ی اطمینان. برای دیدن شواهد، سطر را انتخاب کنید.
claims-board-effect = { $label }: { $value }
claims-contents = فهرست
claims-top = بازگشت به بالا

claims-says = مقاله می‌گوید
claims-found = آنچه یافتیم
claims-advice = چه باید کرد
claims-effects = نتیجه بر چه استوار است
claims-effects-note = بازه‌هایی که قاعده‌ی یک ادعا به کار می‌برد روی هم ۵٪ خطا دارند؛ هر بازه‌ی دیگر جداگانه است، با اطمینان ۹۵٪ یا بیشتر. جایی که بازه‌ای نیامده، عدد میانگین روی seedها نیست: اثبات یا شمرده شده، یا بزرگ‌ترین در میان همه است.
claims-effects-rest = { $rest } عدد دیگر
claims-decides = تعیین‌کننده
claims-head-effect = کمیت
claims-head-value = برآورد
claims-head-interval = بازه‌ی اطمینان
claims-head-seeds = تعداد seed
claims-how = چگونه آزموده شد
claims-question = پرسش
claims-design = طرح آزمایش
claims-measure = سنجه
claims-rule = قاعده‌ی داوری
claims-trials = این نتیجه بر { $trials } اجرا استوار است.
claims-published = آنچه دیگران منتشر کرده‌اند
claims-none = ندارد
claims-interval = { $low } تا { $high }
claims-with-interval = { $value } (از { $low } تا { $high })

unit-points = { $value } واحد درصد
unit-percent = { $value }٪
unit-ratio = { $value } برابر
unit-steps = { $value } گام
unit-sd = { $value } انحراف معیار

chart-legend = نمایش یا پنهان کردن
chart-table = عددها در جدول
chart-panel = بخش
chart-group = گروه
chart-alt = { $title }. { $says }
chart-alt-line = { $group }: از { $first } در { $from } تا { $last } در { $to }
chart-alt-row = { $row }: { $value }
chart-alt-more = و { $rest } مورد دیگر

claims-made = چگونه اندازه‌گیری شد
claims-settings = تنظیمات
claims-environment = محیط اجرا
claims-set-data = داده
claims-set-samples = نمونه‌ها
claims-set-samples-value = { $train } برای آموزش، { $validation } برای اعتبارسنجی، { $test } برای آزمون
claims-set-sample = اندازه‌ی هر نمونه
claims-set-classes = تعداد کلاس‌ها
claims-set-hash = شناسه‌ی داده (hash)
claims-set-limit = حداکثر
claims-set-limit-fixed = { $limit } نمونه برای آموزش و اعتبارسنجی، و { $limit } نمونه برای آزمون
claims-set-limit-split = روی هم { $limit } نمونه
claims-set-run = نوع اجرا
claims-set-full = بلند (--full)
claims-set-quick = کوتاه
claims-set-seeds = تعداد seed
claims-set-claims = ادعاها
claims-set-time = زمان محاسبه
claims-set-time-value = { $seconds } ثانیه، هر اجرا روی یک هسته
claims-env-date = تاریخ
claims-env-placenorm = نسخه‌ی placenorm
claims-env-torch = نسخه‌ی torch
claims-env-python = نسخه‌ی Python
claims-env-platform = سیستم
claims-env-cores = هسته‌ها
claims-env-device = دستگاه

# مثال خود مقاله، گام به گام.
step-title = گام به گام: مثال خود مقاله
step-intro = هر ستون یک نورون است و هر سطر یک نمونه: { $samples } نمونه × { $neurons } نورون. عددها ساختگی‌اند. دور نورون { $neuron } کادر کشیده شده است و { $samples } خروجی آن به شکل بافت‌نگار هم رسم شده است.
step-steps = گام‌ها
step-previous = قبلی
step-next = بعدی
step-help = با کلیدهای جهت هم می‌توان پیش رفت.
step-of = گام { $place } از { $total }
step-raw = خروجی‌های خام
step-mean = یک میانگین برای هر ستون
step-centred = کم کردن میانگین
step-divided = تقسیم بر انحراف معیار
step-affine = ضرب در گاما و جمع با بتا
step-raw-says = هر نورون سطح و پراکندگی خودش را دارد. خروجی‌های نورون { $neuron } پیرامون { $mean } و با انحراف معیار { $sd } هستند؛ خروجی‌های سه نمونه‌ی نخست آن { $first }، { $second } و { $third } است.
step-mean-says = در هر ستون یک میانگین روی { $samples } نمونه حساب می‌شود: روی هم { $neurons } میانگین و به همین تعداد واریانس. میانگین نورون { $neuron } برابر { $mean } است و نورون‌های دیگر هیچ سهمی در آن ندارند.
step-centred-says = میانگین هر ستون از همان ستون کم می‌شود. نورون { $neuron } اکنون پیرامون { $mean } است و پراکندگی آن همان { $sd } مانده است؛ سه خروجی نخست آن { $first }، { $second } و { $third } است.
step-divided-says = هر ستون بر انحراف معیار خودش، √(var + eps)، تقسیم می‌شود، نه بر واریانس. میانگین نورون { $neuron } اکنون { $mean } و انحراف معیار آن { $sd } است؛ سه خروجی نخست آن { $first }، { $second } و { $third } است. شکل توزیع همان است که بود.
step-affine-says = هر نورون در گامای خودش ضرب و با بتای خودش جمع می‌شود؛ هر دو آموختنی‌اند. با { $gamma } و { $beta }، نورون { $neuron } پیرامون { $mean } و با انحراف معیار { $sd } قرار می‌گیرد و سه خروجی نخست آن { $first }، { $second } و { $third } است. به این ترتیب شبکه می‌تواند هر جا که لازم است از حالت نرمال بیرون برود.
step-matrix-alt = ماتریس { $samples } نمونه و { $neurons } نورون به شکل رنگ: آبی برای کمتر از صفر و نارنجی برای بیشتر از آن.
step-histogram-alt = بافت‌نگار (histogram) خروجی نورون { $neuron } برای { $samples } نمونه.
step-histogram = خروجی‌های نورون { $neuron }
step-mean-mark = میانگین
step-neuron = نورون { $neuron }
step-samples = نمونه‌ها
step-neurons = نورون‌ها

# پایانه.
terminal-folder-help = دستور placenorm report { $folder } --lang fa صفحه را دوباره می‌نویسد.
terminal-written = نوشته شد: { $files }
