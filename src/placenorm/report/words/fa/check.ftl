# صفحه‌ی یک بررسی، و جمله‌های آن در پایانه.
check-title = ایراد BN کجاست
check-tagline = ایراد BN کجاست؟
check-headline = قاعده‌ها { $counts } یافتند.
check-headline-clean = قاعده‌ها چیزی نیافتند.
check-rules = { $rules } قاعده
check-batches = دسته‌های داده: { $batches }
check-found = { $counts }.
check-nothing = چیزی یافت نشد
check-silenced = { $counts } ({ $silenced } یافته با توضیحی در متن برنامه خاموش شده است).
check-silenced-lead = { $silenced } یافته با توضیحی در متن برنامه خاموش شده است.
check-network = شبکه، و جایی که چیزی یافت شد
check-network-intro = هر کادر یک بلوک است: یک لایه‌ی وزن‌دار و زنجیره‌ی پس از آن، به ترتیب اجرا. کادری که واژه‌ای بالای آن است یافته‌ای دارد.
check-block-error = خطا
check-block-warning = هشدار
check-block-info = نکته
check-strip-now = همان‌طور که هست
check-strip-mended = با رفع‌های بی‌خطر
check-blocks = { $blocks }، { $ill } تا با یافته
check-findings = یافته‌ها و راه رفع آن‌ها
check-mend = اعمال رفع‌های بی‌خطر
check-mend-intro = خروجی شبکه در ارزیابی همان می‌ماند. به‌جای `batches` چند دسته از داده‌های خود را بدهید.
check-mend-label = دستور Python که رفع‌های بی‌خطر را اعمال می‌کند
check-unseen = آنچه بررسی نشد
check-fixes-none = رفع بی‌خطری برای نوشتن نیست؛ چیزی نوشته نشد.
check-fixes =
    نوشته شد: { $file }
    در برنامه‌ی خود بنویسید، یا دستور `placenorm place` را با --to، --preserve و --out به کار ببرید:
    { $code }
